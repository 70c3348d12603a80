import ApusAccess
import ApusBroker
import ApusCore
import ApusPresence
import NIOCore
import WebFormats

/// Who is where, and who has seen what, for one client.
extension EndpointConnection {
    private var guest: PresenceGuest {
        PresenceGuest(
            user: self.client.principal.text.text.cut(to: Limits.presenceUserBytesMax),
            client: self.client.clientID.cut(to: Limits.edgeClientNameBytesMax))
    }

    private func place(_ channel: EdgeChannel) -> PresencePlace {
        PresencePlace(channel: channel.description, connection: self.name)
    }

    /// The subscription has begun.
    func came(to channel: EdgeChannel, of topic: EdgeTopic, _ token: SubscriptionToken) {
        guard self.places[token] != nil else { return }
        self.places[token]?.isRecorded = topic.keepsPresence || topic.keepsReceipts
        guard topic.keepsPresence else { return }
        self.loop.tell(.joined(self.place(channel), self.guest, at: self.door.wallTime), self.door)
    }

    /// The subscription is over.
    func went(from channel: EdgeChannel) {
        let reason: PresenceLeave = self.session.isClosed ? .closed : .unsubscribed
        self.loop.tell(.left(self.place(channel), reason, at: self.door.wallTime), self.door)
    }

    // MARK: Operations

    func presence(_ wish: ClientOperation.Presence, _ answer: @escaping Answer) {
        guard let upstream = self.door.configuration.presence else {
            return answer(.failure(Problem(.invalidRequest, "presence is not to be had here")))
        }
        guard self.mayRead(wish.channel) else {
            return answer(.failure(Problem(.forbidden, "not allowed to read '\(wish.channel)'")))
        }
        let bound = NIOLoopBound(answer, eventLoop: self.loop.eventLoop)
        upstream.presence(
            of: wish.channel.description, behind: wish.after, upTo: wish.limit, client: self.client.cleared,
            on: self.loop.eventLoop
        ) { result in
            switch result {
            case .success(let page): bound.value(.success(.presence(wish.channel, page)))
            case .failure(let error): bound.value(.failure(Problem(error)))
            }
        }
    }

    /// The client has seen something of a channel.
    func acknowledge(_ channel: EdgeChannel, _ confirmation: Confirmation) throws(Problem) {
        guard let given = self.session.given(of: channel),
            let topic = self.session.token(of: channel).flatMap({ self.topic(of: $0) })
        else {
            throw self.session.channels.contains(channel)
                ? Problem(
                    .invalidRequest, "receipts of '\(channel.topic)' are not kept",
                    hint: "its apus.receipts must be 'true' before it is subscribed to")
                : Problem(.notSubscribed, "not in '\(channel)'")
        }
        var positions: [PartitionIndex: Offset] = [:]
        var isOffset = false
        switch confirmation {
        case .offset(let partition, let offset): (positions, isOffset) = ([partition: offset.next], true)
        case .cursors(let texts):
            let seal = self.door.seal(of: channel, in: topic)
            for text in texts {
                do throws(CursorError) {
                    positions.merge(try seal.cursor(in: text).positions) { max($0, $1) }
                } catch {
                    throw Problem(error)
                }
            }
        }
        let news = try given.confirmed(positions, isOffset: isOffset)
        guard !news.isEmpty else { return }
        let at = self.door.wallTime
        let seen = news.sorted { $0.key < $1.key }.map { PresenceSeen(partition: $0.key, next: $0.value, at: at) }
        self.loop.tell(.confirmed(self.place(channel), self.guest, seen), self.door)
    }
}

extension String {
    /// Its beginning, whole characters of Unicode.
    fileprivate func cut(to limit: ByteCount) -> String {
        guard self.utf8.count > limit.rawValue else { return self }
        var end = self.utf8.index(self.startIndex, offsetBy: limit.rawValue)
        while end > self.startIndex, end.samePosition(in: self.unicodeScalars) == nil {
            end = self.utf8.index(before: end)
        }
        return String(self[..<end])
    }
}
