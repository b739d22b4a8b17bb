namespace DynamicLb.Networking.Bgp;

/// <summary>Who wants to know what a session does. Calls come from its loop: quick, and without exceptions.</summary>
public interface IBgpSessionObserver
{
    /// <summary>Established.</summary>
    void Up(BgpEstablished session, string local);

    /// <summary>Ended, or an attempt failed.</summary>
    void Down(string cause, bool wasEstablished);

    /// <summary>A NOTIFICATION went out or came in.</summary>
    void Notified(BgpNotification notification, bool isSent);
}
