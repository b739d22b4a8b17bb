using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Dhcp4;

public sealed class DhcpMessageTests
{
    public static TheoryData<string> AllSamples => new(Samples.Names);

    [Fact]
    public void Write_and_TryParse_keep_every_field_and_option()
    {
        var message = new DhcpMessage
        {
            IsReply = true,
            Type = DhcpMessageType.Ack,
            Hops = 1,
            TransactionId = 0xdeadbeef,
            Seconds = 513,
            Broadcast = true,
            ClientAddress = IPv4Address.Parse("10.0.0.1"),
            YourAddress = IPv4Address.Parse("10.0.0.2"),
            NextServer = IPv4Address.Parse("10.0.0.3"),
            RelayAddress = IPv4Address.Parse("10.0.0.4"),
            HardwareAddress = MacAddress.Parse("02:4c:42:01:02:03"),
        };
        message.Options.SetUInt32(DhcpOptionCode.LeaseTime, 86400).SetText(DhcpOptionCode.HostName, "web-demo").Set((DhcpOptionCode)224, [])
            .SetUInt16(DhcpOptionCode.MaximumMessageSize, 1472).SetByte((DhcpOptionCode)19, 1);

        var bytes = new byte[message.EncodedLength];
        Assert.Equal(300, message.Write(bytes));
        Assert.True(DhcpMessage.TryParse(bytes, out var read, out _));

        Assert.True(read.IsReply && read.Broadcast);
        Assert.Equal((1, 0xdeadbeefu, 513), (read.Hops, read.TransactionId, read.Seconds));
        Assert.Equal(
            (message.ClientAddress, message.YourAddress, message.NextServer, message.RelayAddress, message.HardwareAddress),
            (read.ClientAddress, read.YourAddress, read.NextServer, read.RelayAddress, read.HardwareAddress));
        Assert.Equal(message.Options.Codes, read.Options.Codes);
        Assert.True(read.Options.TryGetUInt32(DhcpOptionCode.LeaseTime, out uint lease));
        Assert.Equal(86400u, lease);
        Assert.Equal("web-demo", read.Options.GetText(DhcpOptionCode.HostName));
        Assert.True(read.Options.TryGet((DhcpOptionCode)224, out var empty));
        Assert.True(empty.IsEmpty);
    }

    [Fact]
    public void Write_puts_the_type_first_and_the_relay_option_last()
    {
        var message = new DhcpMessage();
        message.Options.Set(DhcpOptionCode.RelayAgentInformation, [1, 1, 7]).SetText(DhcpOptionCode.HostName, "a").SetByte(DhcpOptionCode.MessageType, 1);
        var bytes = new byte[message.EncodedLength];
        message.Write(bytes);
        Assert.Equal([53, 1, 1, 12, 1, (byte)'a', 82, 3, 1, 1, 7, 255, 0], bytes[240..253]);
        Assert.All(bytes[253..], value => Assert.Equal(0, value));
    }

    [Theory]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(300)]
    [InlineData(700)]
    public void Write_splits_what_is_longer_than_255_bytes_and_TryParse_joins_it(int length)
    {
        var value = Enumerable.Range(0, length).Select(i => (byte)i).ToArray();
        var message = new DhcpMessage { Type = DhcpMessageType.Discover };
        message.Options.Set((DhcpOptionCode)224, value);
        var bytes = new byte[message.EncodedLength];
        message.Write(bytes);
        Assert.True(DhcpMessage.TryParse(bytes, out var read, out _));
        Assert.True(read.Options.TryGet((DhcpOptionCode)224, out var joined));
        Assert.Equal(value, joined.ToArray());
    }

    [Fact]
    public void Write_refuses_a_buffer_that_is_too_small() =>
        Assert.Throws<ArgumentException>(() => new DhcpMessage { Type = DhcpMessageType.Discover }.Write(new byte[299]));

    [Fact]
    public void Set_replaces_what_an_option_was()
    {
        var options = new DhcpOptions().SetUInt32(DhcpOptionCode.LeaseTime, 1).SetText(DhcpOptionCode.HostName, "x").SetUInt32(DhcpOptionCode.LeaseTime, 2);
        Assert.Equal(2, options.Count);
        Assert.True(options.TryGetUInt32(DhcpOptionCode.LeaseTime, out uint value));
        Assert.Equal(2u, value);
    }

    [Fact]
    public void GetText_strips_trailing_nuls_and_hides_control_characters()
    {
        var options = new DhcpOptions().Set(DhcpOptionCode.HostName, [(byte)'a', 0x1b, 0xff, 0, 0]).Set(DhcpOptionCode.Message, [0]);
        Assert.Equal("a??", options.GetText(DhcpOptionCode.HostName));
        Assert.Null(options.GetText(DhcpOptionCode.Message));
        Assert.Null(options.GetText(DhcpOptionCode.DomainName));
    }

    [Theory]
    [MemberData(nameof(AllSamples))]
    public void Captured_replies_parse(string name)
    {
        var message = Samples.Message(name);
        Assert.True(message.IsReply);
        Assert.Equal(MacAddress.Parse("02:4c:42:00:00:01"), message.HardwareAddress);
        var type = name.Contains("offer", StringComparison.Ordinal) ? DhcpMessageType.Offer
            : name.Contains("ack", StringComparison.Ordinal) ? DhcpMessageType.Ack : DhcpMessageType.Nak;
        Assert.Equal(type, message.Type);
        if (type == DhcpMessageType.Nak)
        {
            Assert.False(message.Options.Contains(DhcpOptionCode.LeaseTime));
            return;
        }
        Assert.True(message.Options.TryGetUInt32(DhcpOptionCode.SubnetMask, out uint mask));
        Assert.Equal(0xffffff00, mask);
        bool truncated = name == "kea-offer-truncated-noend";
        Assert.Equal(!truncated, message.Options.TryGetUInt32(DhcpOptionCode.LeaseTime, out uint lease) && lease == 600);
        Assert.Equal(truncated ? IPv4Address.Any : Samples.Server, message.ServerId);
    }

    [Theory]
    [MemberData(nameof(AllSamples))]
    public void Captured_replies_survive_being_written_again(string name)
    {
        var message = Samples.Message(name);
        var bytes = new byte[message.EncodedLength];
        message.Write(bytes);
        Assert.True(DhcpMessage.TryParse(bytes, out var again, out _));
        Assert.Equal(message.YourAddress, again.YourAddress);
        Assert.Equal(message.Options.Codes.Order(), again.Options.Codes.Order());
        foreach (var code in message.Options.Codes)
        {
            _ = message.Options.TryGet(code, out var before);
            Assert.True(again.Options.TryGet(code, out var after));
            Assert.Equal(before.ToArray(), after.ToArray());
        }
    }

    [Theory]
    [InlineData("01:0", DhcpDropReason.MalformedOptions)]
    [InlineData("35:2:02", DhcpDropReason.MalformedOptions)]
    [InlineData("35", DhcpDropReason.MalformedOptions)]
    [InlineData("35:0", DhcpDropReason.NoMessageType)]
    [InlineData("35:2:02:02", DhcpDropReason.NoMessageType)]
    public void Case08_option_length_past_the_end_or_type_of_another_size_drops_the_message(string bytes, DhcpDropReason expected)
    {
        // Written code:length:values in hex; the first row has a type, so that only the malformed option after it counts.
        byte[] options = bytes == "01:0" ? [53, 1, 2, 1, 200, 1] : [.. bytes.Split(':').Select(part => Convert.ToByte(part, 16))];
        Assert.False(DhcpMessage.TryParse([.. Fixed(), .. options], out var message, out var reason));
        Assert.Null(message);
        Assert.Equal(expected, reason);
    }

    [Fact]
    public void Case08_server_id_and_lease_time_of_another_size_are_as_absent()
    {
        var message = Parse([53, 1, 2, 54, 3, 10, 77, 0, 51, 0, 3, 3, 1, 2, 3, 6, 0, 255]);
        Assert.Equal([DhcpOptionCode.MessageType], message.Options.Codes);
        Assert.True(message.ServerId.IsAny);
    }

    [Fact]
    public void Case08_an_option_split_in_two_is_judged_by_its_joined_size()
    {
        var message = Parse([53, 1, 2, 54, 2, 10, 77, 51, 4, 0, 0, 2, 88, 54, 2, 0, 1, 255]);
        Assert.Equal(Samples.Server, message.ServerId);
    }

    [Fact]
    public void Missing_end_is_tolerated_when_every_option_fits() => Assert.Equal(Samples.Server, Parse([53, 1, 2, 54, 4, 10, 77, 0, 1]).ServerId);

    [Fact]
    public void Bytes_after_the_end_are_ignored() => Assert.True(Parse([53, 1, 2, 255, 54, 4, 10, 77, 0, 1, 51, 200]).ServerId.IsAny);

    [Theory]
    [InlineData(1, true, false)]
    [InlineData(2, false, true)]
    [InlineData(3, true, true)]
    [InlineData(0, false, false)]
    [InlineData(4, false, false)]
    public void Case10_overload_reads_file_and_then_server_name(byte overload, bool readsFile, bool readsServerName)
    {
        var bytes = new List<byte>(Fixed());
        byte[] file = [224, 2, 3, 4, 12, 1, (byte)'f', 255];
        byte[] serverName = [224, 2, 5, 6, 15, 1, (byte)'s', 255];
        for (int i = 0; i < file.Length; i++)
            bytes[108 + i] = file[i];
        for (int i = 0; i < serverName.Length; i++)
            bytes[44 + i] = serverName[i];
        bytes.AddRange([53, 1, 2, 224, 2, 1, 2, 52, 1, overload, 255]);

        Assert.True(DhcpMessage.TryParse(bytes.ToArray(), out var message, out _));
        Assert.True(message.Options.TryGet((DhcpOptionCode)224, out var joined));
        byte[] expected = [1, 2, .. readsFile ? new byte[] { 3, 4 } : [], .. readsServerName ? new byte[] { 5, 6 } : []];
        Assert.Equal(expected, joined.ToArray());
        Assert.Equal(readsFile ? "f" : null, message.Options.GetText(DhcpOptionCode.HostName));
        Assert.Equal(readsServerName ? "s" : null, message.Options.GetText(DhcpOptionCode.DomainName));
        Assert.False(message.Options.Contains(DhcpOptionCode.Overload));
    }

    [Fact]
    public void Case10_message_type_may_lie_in_file()
    {
        var bytes = new List<byte>(Fixed());
        (bytes[108], bytes[109], bytes[110], bytes[111]) = (53, 1, 5, 255);
        bytes.AddRange([52, 1, 1, 255]);
        Assert.True(DhcpMessage.TryParse(bytes.ToArray(), out var message, out _));
        Assert.Equal(DhcpMessageType.Ack, message.Type);
    }

    [Fact]
    public void Case10_overload_inside_an_overloaded_field_or_a_second_one_is_ignored()
    {
        var bytes = new List<byte>(Fixed());
        byte[] file = [52, 1, 2, 12, 1, (byte)'f', 255];
        for (int i = 0; i < file.Length; i++)
            bytes[108 + i] = file[i];
        (bytes[44], bytes[45], bytes[46], bytes[47]) = (15, 1, (byte)'s', 255);
        bytes.AddRange([53, 1, 2, 52, 1, 1, 52, 1, 3, 255]);
        Assert.True(DhcpMessage.TryParse(bytes.ToArray(), out var message, out _));
        Assert.Equal("f", message.Options.GetText(DhcpOptionCode.HostName));
        Assert.Null(message.Options.GetText(DhcpOptionCode.DomainName));
    }

    [Fact]
    public void Case10_malformed_option_in_file_drops_the_message()
    {
        var bytes = new List<byte>(Fixed());
        (bytes[108], bytes[109]) = (12, 127);
        bytes.AddRange([53, 1, 2, 52, 1, 1, 255]);
        Assert.False(DhcpMessage.TryParse(bytes.ToArray(), out _, out var reason));
        Assert.Equal(DhcpDropReason.MalformedOptions, reason);
    }

    [Fact]
    public void Case10_isc_option_of_300_bytes_split_over_options_and_file_is_joined()
    {
        var message = Samples.Message("isc-offer-split-max576");
        Assert.True(message.Options.TryGet((DhcpOptionCode)224, out var value));
        Assert.Equal(Enumerable.Repeat((byte)'x', 300), value.ToArray());
        Assert.Equal("lab.test", message.Options.GetText(DhcpOptionCode.DomainName));
    }

    [Fact]
    public void Case10_isc_option_continued_in_file_and_server_name_is_joined()
    {
        Assert.True(Samples.Message("isc-offer-big-max576").Options.TryGet((DhcpOptionCode)225, out var small));
        Assert.True(Samples.Message("isc-offer-big-max1500").Options.TryGet((DhcpOptionCode)225, out var whole));
        Assert.Equal(whole.ToArray(), small.ToArray());
    }

    private static byte[] Fixed()
    {
        var bytes = new byte[300];
        int length = new DhcpMessage { IsReply = true, HardwareAddress = MacAddress.Parse("02:4c:42:00:00:01") }.Write(bytes);
        Assert.Equal(300, length);
        return bytes[..240];
    }

    private static DhcpMessage Parse(byte[] options)
    {
        Assert.True(DhcpMessage.TryParse([.. Fixed(), .. options], out var message, out var reason), reason.ToString());
        return message;
    }
}
