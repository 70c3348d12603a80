import ApusCore
import NIOCore

/// Goes on with work that was chopped, when the event loop has looked at its sockets. What a loop is told to execute it
/// does before that, however often it is told: sockets would wait for the end of all of it.
struct EndpointTurns {
    let eventLoop: any EventLoop

    func inTurn(_ work: @escaping () -> Void) {
        self.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Limits.edgeTurnWait.wholeNanoseconds)) { work() }
    }
}
