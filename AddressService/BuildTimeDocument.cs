using System.Reflection;

namespace DynamicLb.AddressService;

/// <summary>The build starts the program to learn its OpenAPI document: then nothing may touch the network or the disk.</summary>
internal static class BuildTimeDocument
{
    public static bool IsGenerating { get; } = Assembly.GetEntryAssembly()?.GetName().Name == "GetDocument.Insider";
}
