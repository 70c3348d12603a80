import ApusAccess
import ApusBroker
import ApusCore
import DequeModule
import KafkaWire
import NIOCore

extension KafkaConnection {
    /// Begins the next request: the frames must not be empty. Nothing is begun when it ends the connection.
    func handleNextFrame() {
        if self.login?.conversation.expectsToken == true { return self.handleToken() }
        guard var call = self.nextCall() else { return }
        if self.fetchYields { self.hurryFetch() }
        guard call.api.key == .fetch else { return self.run(&call) }
        // Answers leave in order, so a second fetch gains nothing from running beside the first; held back it costs
        // nothing either, while what comes after it goes on.
        self.fetchesHeld.append(call)
    }

    func run(_ call: inout Call) {
        let began = self.countsTime(for: call.header.clientID) ? self.door.broker.now : nil
        do throws(WireError) {
            try call.api.run(&call, self)
            if let began { self.worked(since: began, for: call.header.clientID) }
        } catch {
            self.fill(call.place, with: [])
            self.close(because: "\(call.api.key) v\(call.header.version): \(error)")
        }
    }

    /// Whether the frame is one that changes something although nobody waits for the answer.
    func isWrite(_ frame: ByteBuffer) -> Bool {
        frame.getInteger(at: frame.readerIndex, as: Int16.self) == ApiKey.produce.rawValue
    }

    func client(calling clientID: String?) -> ClientContext {
        self.door.broker.access.renew(&self.client)
        var client = self.client
        client.clientID = clientID ?? ""
        return client
    }

    func hold(_ ticket: FetchTicket, yields: Bool, at place: ReplyQueue.Place) {
        guard self.phase != .closed else { return ticket.cancel() }
        self.fetchTicket = ticket
        self.fetchYields = yields
        // What came before it was begun was put behind it, too.
        if yields, !self.replies.isLast(place) { self.hurryFetch() }
    }

    /// Something was asked behind the fetch that runs.
    func hurryFetch() {
        self.fetchYields = false
        self.fetchTicket?.hurry()
    }

    /// Reads the next frame's header. The call is the only owner of the frame's bytes.
    private func nextCall() -> Call? {
        guard let frame = self.frames.popFirst() else { return nil }
        let bytes = ByteCount(rawValue: frame.readableBytes)
        let key = frame.getInteger(at: frame.readerIndex, as: Int16.self).map { ApiKey(rawValue: $0) }
        let place = self.replies.begin(requestBytes: bytes, isFetch: key == .fetch)
        do throws(WireError) {
            var reader = WireReader(frame)
            let header = try RequestHeader(from: &reader)
            guard let api = self.door.table[header.apiKey] else {
                throw .unknownAPI(key: header.apiKey.rawValue)
            }
            guard self.admits(api.key, place) else { return nil }
            guard api.key == .produce || bytes <= Limits.plainRequestBytesMax else {
                throw .frameTooLarge(length: bytes.rawValue, limit: Limits.plainRequestBytesMax.rawValue)
            }
            if api.versions.contains(header.version) { return Call(header, api, place, bytes, body: reader) }
            // The one request that has an answer in every version, because clients ask before they know (KIP-511).
            guard api.key == .apiVersions else {
                throw .unsupportedVersion(api: api.key, version: header.version)
            }
            self.fill(
                place,
                with: Frame.apiVersionsFallback(correlationID: header.correlationID, served: api.versions)
            )
        } catch {
            self.fill(place, with: [])
            self.close(because: "bad request: \(error)")
        }
        return nil
    }
}
