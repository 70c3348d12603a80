import ApusCore
import KafkaWire
import NIOCore

/// Learning about the cluster: one question at a time, for all who wait.
extension ClientCore {
    /// Answers when something is known of each topic, or it is known that there is none.
    ///
    /// With no topics: when any broker has answered since the client was made.
    func learn(_ topics: [String], by deadline: Instant, then: @escaping (Result<Void, ApusError>) -> Void) {
        self.loop.preconditionInEventLoop()
        guard !self.isClosed else { return then(.failure(Self.closedError)) }
        guard !self.servers.isEmpty, self.servers.count == self.configuration.servers.count else {
            let list = self.configuration.servers.joined(separator: ", ")
            return then(.failure(ApusError(.invalidArgument, "servers are host:port, not [\(list)]")))
        }
        self.interest.formUnion(topics)
        // Whoever asks anew wants to be tried anew.
        if self.waits.isEmpty, self.lastMetadataError?.isFinal == true { self.lastMetadataError = nil }
        self.waits.append(TopicWait(topics: topics, deadline: deadline, startedAt: self.now, then: then))
        self.settleWaits()
        self.tickLater()
        if !self.waits.isEmpty { self.refresh() }
    }

    /// What is known is wrong or too little.
    func refresh() {
        guard !self.isClosed else { return }
        self.take(self.schedule.wanted(at: self.now))
    }

    private func take(_ action: MetadataSchedule.Action) {
        switch action {
        case .nothing: break
        case .wait(let until):
            self.loop.scheduleTask(deadline: until.deadline) {
                guard !self.isClosed else { return }
                self.take(self.schedule.next(at: self.now))
            }
        case .ask(let attempt): self.ask(attempt: attempt)
        }
    }

    private func ask(attempt: Int) {
        guard let node = self.anyNode(attempt: self.lastMetadataError == nil ? 0 : attempt) else {
            return self.refused(ApusError(.invalidArgument, "no server is configured"))
        }
        var request = MetadataRequest()
        request.topics = self.interest.sorted().map { name in
            var topic = MetadataRequest.Topic()
            topic.name = name
            return topic
        }
        // Only for those who wait: a refresh must not bring back a topic that somebody deleted.
        request.allowAutoTopicCreation = self.configuration.allowsTopicCreation && !self.waits.isEmpty
        self.call(request, to: node) { result in
            guard !self.isClosed else { return }
            switch result {
            case .success(let answer): self.answered(answer)
            case .failure(let error): self.refused(error)
            }
        }
    }

    private func refused(_ error: ApusError) {
        self.lastMetadataError = error
        self.settleWaits()
        let action = self.schedule.failed(at: self.now, chance: self.environment.randomness.next())
        if self.waits.isEmpty, !self.isObserved { return self.schedule.dropped() }
        self.take(action)
    }

    private func answered(_ answer: BrokerAnswer<MetadataResponse>) {
        self.lastMetadataError = nil
        self.learnedAt = self.now
        self.metadata.learned(answer.response)
        // Which broker it is may be known only now.
        var peer = answer.peer
        peer.id = peer.id ?? self.metadata.broker(at: peer.address)
        self.learnedFrom = peer
        self.settleWaits()
        let isEnough = self.waits.isEmpty
        let action = self.schedule.answered(
            isEnough: isEnough, at: self.now, chance: self.environment.randomness.next())
        self.tellObservers()
        self.take(action)
    }

    /// Answers those who need not wait any longer.
    private func settleWaits() {
        let now = self.now
        var settled: [(TopicWait, Result<Void, ApusError>)] = []
        self.waits.removeAll { wait in
            guard let result = self.result(of: wait, at: now) else { return false }
            settled.append((wait, result))
            return true
        }
        for (wait, result) in settled { wait.then(result) }
    }

    private func result(of wait: TopicWait, at now: Instant) -> Result<Void, ApusError>? {
        var missing: ApusError?
        for topic in wait.topics {
            switch self.metadata.status(of: topic) {
            case .known: continue
            case .refused(let code): return .failure(code.error(topic, topic: topic, from: self.learnedFrom))
            case .missing(let code):
                let error = code.error(topic, topic: topic, from: self.learnedFrom)
                missing = error
                guard let learnedAt = self.learnedAt, learnedAt >= wait.startedAt, code == .unknownTopicOrPartition
                else { continue }
                // It is not there, and either nobody makes it or it takes too long.
                let patience =
                    self.configuration.allowsTopicCreation ? ClientLimits.topicCreationWait : Duration.zero
                if now.since(wait.startedAt) >= patience { return .failure(error) }
            }
        }
        if missing == nil, self.learnedAt != nil { return .success(()) }
        // A login that was refused will be refused again.
        if let error = self.lastMetadataError, error.isFinal { return .failure(error) }
        guard now >= wait.deadline else { return nil }
        let cause = self.lastMetadataError
        if let cause, cause.code == .unsupported || cause.code == .invalidArgument { return .failure(cause) }
        let servers = self.configuration.servers.joined(separator: ", ")
        return .failure(
            missing.flatMap { self.learnedAt == nil ? nil : $0 }
                ?? ApusError(.unreachable, "no answer from \(servers)", isRetryable: true, cause: cause))
    }

    /// Looks at deadlines and at the age of what is known, while anybody cares.
    func tickLater() {
        guard !self.isTicking, !self.isClosed else { return }
        self.isTicking = true
        self.loop.scheduleTask(in: .milliseconds(100)) {
            self.isTicking = false
            guard !self.isClosed else { return }
            self.settleWaits()
            if self.isObserved, let learnedAt = self.learnedAt,
                self.now.since(learnedAt) >= self.configuration.metadataAge
            {
                self.refresh()
            }
            if !self.waits.isEmpty || self.isObserved { self.tickLater() }
        }
    }
}
