import ApusAccess
import ApusCore

/// The login of one connection: what was said so far, and whether something of it is under way. Owner: its connection.
struct ConnectionLogin {
    let listener: ListenerLogin
    var conversation: SaslConversation
    /// A message is judged on another thread, or a refusal waits for its time: meanwhile nothing is handled or read.
    var isBusy = false
    /// The principal has logged in at least once.
    var isDone: Bool { self.conversation.session != nil }

    init(_ listener: ListenerLogin, over transport: Transport) {
        self.listener = listener
        self.conversation = SaslConversation(over: transport, at: listener.clock.now)
    }

    /// Whether a request that is none of a login's may run now.
    var admits: Bool { self.conversation.serves(at: self.listener.clock.now) }

    /// Whether one may run now that came earlier, and was held back.
    var admitsHeld: Bool { self.conversation.isInSession(at: self.listener.clock.now) }
}
