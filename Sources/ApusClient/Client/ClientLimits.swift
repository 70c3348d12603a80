public import ApusCore

/// The client's own bounds, by name and with their units.
public enum ClientLimits {
    /// The largest answer taken from a broker: what a broker may send to one fetch, and room for one batch more.
    public static let responseBytesMax = ByteCount.mebibytes(64)
}
