import Synchronization

/// Collects the answers of several shards into one, in the order of the request. Any thread; owner of its answers.
final class BrokerGather<Value: Sendable>: Sendable {
    private struct State {
        var values: [Value]
        var missing: Int
    }

    private let state: Mutex<State>
    private let then: @Sendable ([Value]) -> Void

    /// - Parameter values: one for each place; `missing` of them will come.
    init(_ values: [Value], missing: Int, then: @escaping @Sendable ([Value]) -> Void) {
        self.state = Mutex(State(values: values, missing: missing))
        self.then = then
    }

    func put(_ value: Value, at place: Int) {
        self.put([(place, value)])
    }

    /// Whoever brings the last one has it answered. No values are nobody's last: they may come when all are there.
    func put(_ values: some Sequence<(Int, Value)>) {
        let all: [Value]? = self.state.withLock { state in
            let before = state.missing
            for (place, value) in values {
                state.values[place] = value
                state.missing -= 1
            }
            return before > 0 && state.missing == 0 ? state.values : nil
        }
        if let all { self.then(all) }
    }
}
