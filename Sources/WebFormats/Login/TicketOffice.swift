package import ApusAccess
package import ApusCore

/// Takes one-time tickets: how a page opens an event stream or a WebSocket as somebody, though it can set no header
/// there and no long-lived credential belongs in an address. Any thread.
///
/// A port, because who takes a ticket need not be the process that gave it.
package protocol TicketTaker: Sendable {
    /// Answers whose ticket it was, the first time that it is asked in time, and with `.ticket` ever after; with
    /// `.overloaded` when nobody can say just now.
    /// - Parameter address: of who shows it, for the audit log.
    func redeem(
        _ ticket: String, from address: String,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void)
}

/// Gives them, too.
package protocol TicketOffice: TicketTaker {
    /// Answers with a ticket for one connection as this session, and how long it is good; nil: there are too many.
    func issue(_ session: WebSession, _ then: @escaping @Sendable (_ ticket: String?, Timestamp) -> Void)
}
