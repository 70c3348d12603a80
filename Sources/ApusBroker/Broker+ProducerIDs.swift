import ApusCore
import DequeModule
import NIOCore

/// Hands out producer ids, from blocks that the coordinator store has given to nobody else.
///
/// Unchecked because: all state is touched on the registry's loop only.
final class BrokerProducerIDs: @unchecked Sendable {
    typealias Answer = @Sendable (Result<ProducerIdentity, BrokerError>) -> Void

    private let registry: BrokerRegistry
    private var free: Range<Int64> = 0..<0
    private var waiting = Deque<Answer>()
    private var isAsking = false

    init(registry: BrokerRegistry) {
        self.registry = registry
    }

    /// From any thread; answers on the registry's loop.
    func next(then: @escaping Answer) {
        let loop = self.registry.loop
        if loop.inEventLoop { self.serve(then) } else { loop.execute { self.serve(then) } }
    }

    private func serve(_ answer: @escaping Answer) {
        guard self.waiting.isEmpty, let id = self.free.popFirst() else {
            guard self.waiting.count < Limits.registryRequestsWaitingMax else {
                return answer(.failure(.overloaded("too many producers wait for an id")))
            }
            self.waiting.append(answer)
            return self.ask()
        }
        answer(.success(ProducerIdentity(id: id, epoch: 0)))
    }

    private func ask() {
        guard !self.isAsking else { return }
        self.isAsking = true
        self.registry.submit { draft in
            let block: Result<Range<Int64>, BrokerError>
            do throws(BrokerError) { block = .success(try draft.takeProducerIDs()) } catch { block = .failure(error) }
            return { outcome in
                self.isAsking = false
                self.took(outcome.flatMap { _ in block })
            }
        }
    }

    private func took(_ block: Result<Range<Int64>, BrokerError>) {
        switch block {
        case .failure(let error):
            let waiting = self.waiting
            self.waiting = []
            for answer in waiting { answer(.failure(error)) }
        case .success(let block):
            self.free = block
            while !self.waiting.isEmpty, let id = self.free.popFirst() {
                self.waiting.removeFirst()(.success(ProducerIdentity(id: id, epoch: 0)))
            }
            if !self.waiting.isEmpty { self.ask() }
        }
    }
}
