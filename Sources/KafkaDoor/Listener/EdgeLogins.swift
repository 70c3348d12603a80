package import ApusAccess
package import ApusCore

/// Who a ticket of this process was given to, for an endpoint server in a process of its own at which it is shown.
package struct EdgeLogin: Hashable, Sendable {
    package var principal: Principal
    /// How he logged in when he got it.
    package var mechanism: SaslMechanism
    /// When what he logged in with runs out; nil: never.
    package var expires: Timestamp?
    /// What a token bounds him to; nil: nothing.
    package var channels: ChannelGrants?
    /// The API key that he came with.
    package var keyID: String?

    package init(
        principal: Principal, mechanism: SaslMechanism, expires: Timestamp?, channels: ChannelGrants?, keyID: String?
    ) {
        self.principal = principal
        self.mechanism = mechanism
        self.expires = expires
        self.channels = channels
        self.keyID = keyID
    }
}

/// Takes tickets of this process by their digests, each once. Any thread.
package struct EdgeTickets: Sendable {
    /// `then` is called once, on any thread; with nil for a ticket that is none, or none any more.
    package var take: @Sendable (_ digest: [UInt8], _ then: @escaping @Sendable (EdgeLogin?) -> Void) -> Void

    package init(
        _ take: @escaping @Sendable (_ digest: [UInt8], _ then: @escaping @Sendable (EdgeLogin?) -> Void) -> Void
    ) {
        self.take = take
    }
}
