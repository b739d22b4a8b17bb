using System.ComponentModel;
using System.Runtime.InteropServices;

namespace DynamicLb.Lab.Networks;

public sealed partial class NetworkNamespace
{
    /// <summary>Does something inside the namespace, on a thread of its own. Sockets that it makes, and threads that it starts, stay there.</summary>
    public T Enter<T>(Func<T> act)
    {
        const int NewNetwork = 0x40000000;
        T? result = default;
        Exception? fault = null;
        var thread = new Thread(() =>
        {
            try
            {
                using var handle = File.OpenHandle(Path.Combine("/run/netns", Name));
                if (SetNamespace(handle, NewNetwork) != 0)
                    throw new Win32Exception(Marshal.GetLastPInvokeError(), $"The namespace {Name} cannot be entered");
                result = act();
            }
            catch (Exception e)
            {
                fault = e;
            }
        });
        thread.Start();
        thread.Join();
        return fault is null ? result! : throw new InvalidOperationException(fault.Message, fault);
    }
}
