namespace DynamicLb.AddressService.Configuration;

/// <summary>Whether tokens of Kubernetes service accounts are accepted.</summary>
internal sealed class TokenReviewOptions
{
    public bool IsEnabled { get; set; }

    /// <summary>What a token must be for: one for the API server itself, say, is none for us.</summary>
    public string Audience { get; set; } = "address-service";
}
