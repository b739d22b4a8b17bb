namespace DynamicLb.Networking.Dhcp4;

/// <summary>Walks the options in one field, as they lie there (RFC 2132 §2). A missing END is tolerated, an option that does not fit is not.</summary>
internal ref struct DhcpOptionReader(ReadOnlySpan<byte> field)
{
    private ReadOnlySpan<byte> _rest = field;

    /// <summary>Code of the current option.</summary>
    public DhcpOptionCode Code { get; private set; }

    /// <summary>Value of the current option.</summary>
    public ReadOnlySpan<byte> Value { get; private set; }

    /// <summary>Whether the walk ended at an option that reaches out of the field.</summary>
    public bool IsMalformed { get; private set; }

    /// <summary>Steps to the next option; false at END, at the end of the field, or at a malformed option.</summary>
    public bool MoveNext()
    {
        while (!_rest.IsEmpty && _rest[0] == (byte)DhcpOptionCode.Pad)
            _rest = _rest[1..];
        if (_rest.IsEmpty || _rest[0] == (byte)DhcpOptionCode.End)
        {
            _rest = default;
            return false;
        }
        if (_rest.Length < 2 || _rest.Length < 2 + _rest[1])
        {
            IsMalformed = true;
            _rest = default;
            return false;
        }
        Code = (DhcpOptionCode)_rest[0];
        Value = _rest.Slice(2, _rest[1]);
        _rest = _rest[(2 + Value.Length)..];
        return true;
    }
}
