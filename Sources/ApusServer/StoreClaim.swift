import ApusCore
import ApusSystem

/// What the coordinator store says about whose it is, and how often its broker has started.
///
/// `server/identity` holds the cluster's and the broker's id, so that a store copied from elsewhere is noticed beside
/// another `broker.json`. `server/incarnation` holds the number of the last start: each start takes the next one,
/// durably, before anything is served, and it is the leader epoch of all that is led (promise P3).
struct StoreClaim {
    static let prefix = "server/"
    private static let identityKey = "server/identity"
    private static let incarnationKey = "server/incarnation"

    var clusterID: String
    var brokerID: BrokerID
    private(set) var incarnation: Epoch
    /// The number of the start before; nil when there was none.
    let previous: Epoch?
    private let transaction: StoreTransaction

    /// Judges what the whole store holds.
    ///
    /// `identity`: the data directory's; nil when it is new. A store that is there already was then left by a first
    /// start that was killed, and keeps its ids; with more in it than that, the directory has lost its identity.
    /// `life`: a start there was for certain; a store that knows less was put back from a copy.
    init(
        _ snapshot: StoreSnapshot, identity: DirectoryIdentity?, after life: Epoch, fallback: DirectoryIdentity,
        path: String
    ) throws(ServerError) {
        let entries = Dictionary(uniqueKeysWithValues: snapshot.entries.map { ($0.key, $0) })
        var changes: [StoreChange] = []
        if let entry = entries[Self.identityKey] {
            let lines = Self.text(entry).split(separator: "\n", omittingEmptySubsequences: false)
            guard lines.count == 2, let broker = Int32(lines[1]) else {
                throw ServerError(.dataRefused, "\(path): the store's identity is damaged")
            }
            self.clusterID = String(lines[0])
            self.brokerID = BrokerID(rawValue: broker)
        } else {
            guard identity == nil, snapshot.entries.isEmpty else {
                throw ServerError(.dataRefused, "\(path): the store does not say whose it is")
            }
            self.clusterID = fallback.clusterID
            self.brokerID = fallback.brokerID
            changes.append(.put(key: Self.identityKey, value: Array("\(self.clusterID)\n\(self.brokerID)".utf8)))
        }
        if let identity, identity.clusterID != self.clusterID || identity.brokerID != self.brokerID {
            throw ServerError(
                .dataRefused,
                "\(path): \(DataDirectory.storeName) is of broker \(self.brokerID) of cluster \(self.clusterID), "
                    + "\(DirectoryIdentity.fileName) of broker \(identity.brokerID) of cluster \(identity.clusterID)")
        }
        if identity == nil, let stray = snapshot.entries.first(where: { !$0.key.hasPrefix(Self.prefix) }) {
            throw ServerError(
                .dataRefused, "\(path): the store holds \(stray.key), but \(DirectoryIdentity.fileName) is missing")
        }
        let last = try entries[Self.incarnationKey].map { entry throws(ServerError) in
            guard let number = Int32(Self.text(entry)), number >= 0, number < Int32.max else {
                throw ServerError(.dataRefused, "\(path): the store's count of starts is damaged")
            }
            return Epoch(rawValue: number)
        }
        self.previous = last
        // The first start leads in epoch 0, as a first leader does.
        self.incarnation = last.map { Epoch(rawValue: max($0, life).rawValue + 1) } ?? .zero
        changes.append(.put(key: Self.incarnationKey, value: Array("\(self.incarnation)".utf8)))
        self.transaction = StoreTransaction(
            conditions: [Self.identityKey, Self.incarnationKey].map {
                StoreTransaction.Condition(key: $0, modified: entries[$0]?.modified ?? .none)
            },
            changes: changes
        )
    }

    /// Takes the incarnation. When this answers it is durable that no other start has it.
    func take(in store: any CoordinatorStore) async throws(ServerError) {
        let result = await withCheckedContinuation { continuation in
            store.commit(self.transaction) { continuation.resume(returning: $0) }
        }
        if case .failure(let error) = result { throw Self.refusal(error) }
    }

    static func refusal(_ error: StoreError) -> ServerError {
        switch error {
        case .corrupt(let what): ServerError(.dataRefused, "the coordinator store is damaged: \(what)", cause: error)
        case .unavailable(let what), .unknown(let what):
            ServerError(.disk, "the coordinator store cannot be written: \(what)", cause: error)
        case .conflict: ServerError(.dataInUse, "another process writes to the coordinator store", cause: error)
        }
    }

    private static func text(_ entry: StoreEntry) -> String {
        String(decoding: entry.value, as: UTF8.self)
    }
}
