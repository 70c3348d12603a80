import ApusBroker
import ApusCore
import NIOCore

extension KafkaConnection {
    /// Called once a second: ends the connection if it has stood still for too long.
    func sweep(at sweep: UInt64) {
        self.endLateHandshake(at: sweep)
        self.endLateLogin()
        guard self.phase != .closed, let context = self.context else { return }
        // Asking the channel costs more than all the rest, for each of a hundred thousand connections that rest.
        let buffered =
            self.watch.isAllTaken ? 0 : try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)
        let state = ConnectionWatch.State(
            isInsideFrame: self.isInsideFrame, isReadingHeld: self.isReadingHeld,
            // The option exists on every stream channel; one without it has nothing to hold back.
            requestsUnanswered: self.replies.count, bytesBuffered: buffered ?? 0, isStarving: self.isStarving,
            isReplyMemoryShort: self.loop.replyMemory.isShort, isRequestMemoryShort: self.door.isRequestMemoryShort
        )
        switch self.watch.finding(at: sweep, state) {
        case .fine: break
        case .idle: self.close()
        case .starved: self.close(because: "no memory for the rest of a frame")
        case .halfFrame: self.close(because: "a frame was begun and did not go on")
        case .unread: self.close(because: "answers were not read")
        }
    }
}
