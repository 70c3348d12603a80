import ApusCore
import DequeModule
import Logging
import NIOCore

/// Runs the topic registry: one request after the other is applied to a draft, one commit at a time goes to the store,
/// and what is committed is published and answered. While a commit is under way requests gather, and go together in
/// the next, so a hundred thousand creations are a few hundred commits.
///
/// Owner of the ``TopicRegistry``; everything but ``submit(_:)`` runs on its loop.
///
/// Unchecked because: `loop` never changes, and all other state is touched on it only, which every entry asserts.
final class BrokerRegistry: @unchecked Sendable {
    /// How a draft's fate is told: the registry as committed, or why nothing of it happened.
    typealias Answer = (Result<TopicRegistry, BrokerError>) -> Void
    /// Applies one request to the draft. May run again on a fresh draft, when the store had changed.
    typealias Decision = @Sendable (inout TopicRegistry) -> Answer

    let loop: any EventLoop
    private let store: any CoordinatorStore
    private let logger: Logger
    private let publish: @Sendable (TopicRegistry) -> Void
    private var registry: TopicRegistry
    private var waiting = Deque<Decision>()
    private var isCommitting = false
    private var isFlushScheduled = false

    init(
        _ registry: TopicRegistry, store: any CoordinatorStore, loop: any EventLoop, logger: Logger,
        publish: @escaping @Sendable (TopicRegistry) -> Void
    ) {
        self.registry = registry
        self.store = store
        self.loop = loop
        self.logger = logger
        self.publish = publish
    }

    /// Reads the store and publishes what is there.
    func load(then: @escaping @Sendable (Result<TopicRegistry, BrokerError>) -> Void) {
        self.loop.assertInEventLoop()
        self.isCommitting = true
        self.store.read(prefix: "") { result in
            self.loop.execute {
                switch result {
                case .success(let snapshot):
                    self.isCommitting = false
                    let strange = self.registry.load(snapshot)
                    for key in strange {
                        self.logger.error("registry entry not understood, left alone", metadata: ["key": "\(key)"])
                    }
                    self.publish(self.registry)
                    self.registry.forgetChanges()
                    then(.success(self.registry))
                    self.flush()
                case .failure(let error):
                    self.isCommitting = false
                    then(.failure(BrokerError(error)))
                    self.flush()
                }
            }
        }
    }

    /// From any thread. The answer is called on the registry's loop.
    func submit(_ decision: @escaping Decision) {
        if self.loop.inEventLoop {
            self.enqueue(decision)
        } else {
            self.loop.execute { self.enqueue(decision) }
        }
    }

    private func enqueue(_ decision: @escaping Decision) {
        guard self.waiting.count < Limits.registryRequestsWaitingMax else {
            var draft = self.registry
            decision(&draft)(.failure(.overloaded("too many requests wait for the coordinator store")))
            return
        }
        self.waiting.append(decision)
        guard !self.isCommitting, !self.isFlushScheduled else { return }
        self.isFlushScheduled = true
        // At the end of this tick, so that what arrives in it goes together.
        self.loop.execute {
            self.isFlushScheduled = false
            self.flush()
        }
    }

    private func flush() {
        guard !self.isCommitting, !self.waiting.isEmpty else { return }
        var decisions: [Decision] = []
        var draft = self.registry
        var answers: [Answer] = []
        while draft.transaction.changes.count < 3 * Limits.topicsPerCommitMax, let decision = self.waiting.popFirst() {
            decisions.append(decision)
            answers.append(decision(&draft))
        }
        self.commit(draft, decisions, answers, mayRetry: true)
    }

    private func commit(_ draft: TopicRegistry, _ decisions: [Decision], _ answers: [Answer], mayRetry: Bool) {
        guard !draft.transaction.changes.isEmpty else {
            for answer in answers { answer(.success(self.registry)) }
            self.flush()
            return
        }
        self.isCommitting = true
        let fate = Fate(draft: draft, decisions: decisions, answers: answers)
        self.store.commit(draft.transaction) { result in
            self.loop.execute { self.finished(fate, result, mayRetry: mayRetry) }
        }
    }

    private func finished(_ fate: Fate, _ result: Result<StoreRevision, StoreError>, mayRetry: Bool) {
        switch result {
        case .success(let revision):
            self.isCommitting = false
            self.registry = fate.draft
            self.registry.committed(at: revision)
            self.publish(self.registry)
            self.registry.forgetChanges()
            for answer in fate.answers { answer(.success(self.registry)) }
            self.flush()
        case .failure(.conflict(let key)) where mayRetry:
            // Somebody else wrote to the store. What we knew is old: read it, and decide again.
            self.logger.warning("the coordinator store changed under us, reading it again", metadata: ["key": "\(key)"])
            self.load { result in
                switch result {
                case .success:
                    var draft = self.registry
                    let answers = fate.decisions.map { $0(&draft) }
                    self.commit(draft, fate.decisions, answers, mayRetry: false)
                case .failure(let error): fate.fail(error)
                }
            }
        case .failure(.unknown(let reason)):
            // It may have been made. Only the store knows, so what is published comes from there again.
            fate.fail(.storeUnknown(reason))
            self.load { _ in }
        case .failure(let error):
            self.isCommitting = false
            fate.fail(BrokerError(error))
            self.flush()
        }
    }

    /// A draft on its way to the store. Touched on the registry's loop only, hence unchecked.
    private final class Fate: @unchecked Sendable {
        let draft: TopicRegistry
        let decisions: [Decision]
        let answers: [Answer]

        init(draft: TopicRegistry, decisions: [Decision], answers: [Answer]) {
            self.draft = draft
            self.decisions = decisions
            self.answers = answers
        }

        func fail(_ error: BrokerError) {
            for answer in self.answers { answer(.failure(error)) }
        }
    }
}

extension BrokerError {
    init(_ error: StoreError) {
        switch error {
        case .conflict(let key): self = .storeUnavailable("conflicting changes of \(key)")
        case .unavailable(let reason): self = .storeUnavailable(reason)
        case .unknown(let reason): self = .storeUnknown(reason)
        case .corrupt(let reason): self = .storeUnavailable("damaged: \(reason)")
        }
    }
}
