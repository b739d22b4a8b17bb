using DynamicLb.Cli;
using System.CommandLine;

namespace DynamicLb.Tests.Unit.Cli;

public sealed class ValidateTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("dynlb-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_good_file_is_called_good_and_the_exit_code_is_0()
    {
        var (code, output) = await ValidateAsync(Write("good.yaml", "address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24]}\n"));

        Assert.Equal(0, code);
        Assert.Contains("good", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task All_faults_of_all_files_are_listed_and_the_exit_code_is_1()
    {
        var (code, output) = await ValidateAsync(
            Write("first.yaml", "address-pools:\n- {name: a, protocol: layer3, addresses: [10.0.0.0/33]}\n"), Write("second.yaml", "surprise: 1\n"));

        Assert.Equal(1, code);
        Assert.Contains("first.yaml: line 2: address-pools[0] 'a'.protocol", output, StringComparison.Ordinal);
        Assert.Contains("first.yaml: line 2: address-pools[0] 'a'.addresses", output, StringComparison.Ordinal);
        Assert.Contains("second.yaml: line 1: surprise: unknown field", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_cannot_be_read_is_exit_code_2()
    {
        Assert.Equal(2, (await ValidateAsync(Path.Combine(_folder, "absent"))).Code);
    }

    private static async Task<(int Code, string Output)> ValidateAsync(params string[] files)
    {
        var output = new StringWriter();
        int code = await CommandTable.Create().Parse(["validate", .. files]).InvokeAsync(new InvocationConfiguration { Output = output, Error = output });
        return (code, output.ToString());
    }

    private string Write(string name, string text)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, text);
        return path;
    }
}
