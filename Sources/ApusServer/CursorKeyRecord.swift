import ApusCore

/// The key that cursors are signed with: the cluster's, in the coordinator store, made by the first who needs it. So a
/// cursor holds on every node, and after every restart.
enum CursorKeyRecord {
    private static let key = "edge/cursor-key"
    private static let byteCount = 32

    static func bytes(
        in store: any CoordinatorStore, _ randomness: any Randomness
    ) async throws(ServerError) -> [UInt8] {
        // Twice: another node may be faster, and then it is that one's.
        for _ in 0..<2 {
            if let known = try await self.read(store) { return known }
            let new = (0..<(self.byteCount / 8)).flatMap { _ in
                let bits = randomness.next()
                return (0..<8).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
            }
            let transaction = StoreTransaction(
                conditions: [StoreTransaction.Condition(key: self.key, modified: .none)],
                changes: [.put(key: self.key, value: new)])
            let outcome = await withCheckedContinuation { continuation in
                store.commit(transaction) { continuation.resume(returning: $0) }
            }
            switch outcome {
            case .success: return new
            case .failure(.conflict): continue
            case .failure(let error): throw StoreClaim.refusal(error)
            }
        }
        throw ServerError(.broker, "the key of cursors changes all the time")
    }

    private static func read(_ store: any CoordinatorStore) async throws(ServerError) -> [UInt8]? {
        let snapshot = await withCheckedContinuation { continuation in
            store.read(prefix: self.key) { continuation.resume(returning: $0) }
        }
        switch snapshot {
        case .success(let snapshot):
            guard let entry = snapshot.entries.first(where: { $0.key == self.key }) else { return nil }
            guard entry.value.count >= self.byteCount else {
                throw ServerError(.dataRefused, "the coordinator store's key of cursors is damaged")
            }
            return entry.value
        case .failure(let error): throw StoreClaim.refusal(error)
        }
    }
}
