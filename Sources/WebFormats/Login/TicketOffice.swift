package import ApusCore

/// One-time tickets: how a page opens an event stream or a WebSocket as somebody, though it can set no header there and
/// no long-lived credential belongs in an address. Any thread.
///
/// A port, because who redeems a ticket need not be the process that gave it.
package protocol TicketOffice: Sendable {
    /// Answers with a ticket for one connection as this session, and how long it is good; nil: there are too many.
    func issue(_ session: WebSession, _ then: @escaping @Sendable (_ ticket: String?, Timestamp) -> Void)
    /// Answers whose ticket it was, the first time that it is asked in time, and with nil ever after.
    func redeem(_ ticket: String, _ then: @escaping @Sendable (WebSession?) -> Void)
}
