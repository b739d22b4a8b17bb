using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>Randomness for transaction ids and jitter: unguessable in production, repeatable in tests.</summary>
public abstract class DhcpRandom
{
    /// <summary>The operating system's cryptographic source. Thread-safe.</summary>
    public static DhcpRandom Secure { get; } = new SecureRandom();

    /// <summary>Uniform over all 32-bit numbers.</summary>
    public abstract uint NextUInt32();

    /// <summary>Uniform over [0, 1).</summary>
    public double NextDouble() => NextUInt32() / 4294967296.0;

    /// <summary>Uniform over [-1, 1).</summary>
    public double NextSigned() => (2 * NextDouble()) - 1;

    /// <summary>A repeatable sequence (splitmix64), for tests and simulations. Not thread-safe.</summary>
    public static DhcpRandom Seeded(ulong seed) => new SeededRandom(seed);

    private sealed class SecureRandom : DhcpRandom
    {
        // Fetched ahead: for one number alone it takes a hundred times as long as for one of many.
        private readonly uint[] _ahead = new uint[64];
        private readonly Lock _lock = new();
        private int _left;

        public override uint NextUInt32()
        {
            lock (_lock)
            {
                if (_left == 0)
                {
                    RandomNumberGenerator.Fill(MemoryMarshal.AsBytes(_ahead.AsSpan()));
                    _left = _ahead.Length;
                }
                uint value = _ahead[--_left];
                _ahead[_left] = 0;
                return value;
            }
        }
    }

    private sealed class SeededRandom(ulong seed) : DhcpRandom
    {
        private ulong _state = seed;

        public override uint NextUInt32()
        {
            ulong mixed = _state += 0x9e3779b97f4a7c15;
            mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
            mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
            return (uint)(mixed >> 32);
        }
    }
}
