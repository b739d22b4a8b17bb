namespace DynamicLb.Networking.Bgp;

/// <summary>Who wants to know what a session does. Calls come from its loop: quick, and without exceptions.</summary>
public interface IBgpSessionObserver
{
    /// <summary>Established.</summary>
    /// <param name="session">What was agreed on.</param>
    /// <param name="local">Our end, address and port.</param>
    void Up(BgpEstablished session, string local);

    /// <summary>Ended, or an attempt failed.</summary>
    /// <param name="cause">Why, in words for people.</param>
    /// <param name="wasEstablished">Whether there was a session; else an attempt failed.</param>
    void Down(string cause, bool wasEstablished);

    /// <summary>A NOTIFICATION went out or came in (RFC 4271 §4.5).</summary>
    /// <param name="notification">What it says.</param>
    /// <param name="isSent">Whether it is ours.</param>
    void Notified(BgpNotification notification, bool isSent);
}
