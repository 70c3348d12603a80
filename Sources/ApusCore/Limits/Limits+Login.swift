/// Bounds of logins and of TLS, beside those of ApusAccess.
extension Limits {
    /// Passwords that are hashed on other threads at once, or wait for that, for each event loop. More are turned away:
    /// a client that connects again later loses less than one that waits behind everybody.
    public static let passwordChecksPerLoopMax = 64
    /// The same of tokens, in places of their own.
    public static let tokenChecksPerLoopMax = 64
    /// Threads that hash passwords.
    public static let passwordThreads = 2
    /// Threads that check signatures of tokens, each within a millisecond.
    public static let tokenThreads = 1
    /// How long a client may take for the handshake of TLS.
    public static let tlsHandshakeWaitMax = Duration.seconds(10)
    /// How often files of certificates and keys are looked at.
    public static let secretFileLookPeriod = Duration.seconds(3)
    /// The longest file of certificates, keys, or a password.
    public static let secretFileBytesMax = ByteCount.mebibytes(1)
    /// A certificate that ends within so long is worth a line in the log.
    public static let certificateEndWarning = Duration.seconds(14 * 86_400)
    /// How often the keys of a token issuer are fetched again.
    public static let tokenKeysRefreshPeriod = Duration.seconds(300)
    /// How soon after a failure.
    public static let tokenKeysRetryPeriod = Duration.seconds(15)
    /// How long one fetch may take.
    public static let tokenKeysFetchMax = Duration.seconds(10)
}
