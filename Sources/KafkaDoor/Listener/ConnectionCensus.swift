import ApusCore

/// Counts the connections of one listener, in all and from each address, and says who may come in.
struct ConnectionCensus {
    private let max: Int
    private let perAddressMax: Int
    private(set) var count = 0
    private var byAddress: [String: Int] = [:]

    init(max: Int, perAddressMax: Int) {
        self.max = max
        self.perAddressMax = perAddressMax
    }

    /// Whether one more from this address may come in; counts it if so.
    mutating func enter(_ address: String) -> Bool {
        guard self.count < self.max else { return false }
        let here = self.byAddress[address] ?? 0
        guard here < self.perAddressMax || Self.isLoopback(address) else { return false }
        self.byAddress[address] = here + 1
        self.count += 1
        return true
    }

    /// One that came in has gone.
    mutating func leave(_ address: String) {
        guard let here = self.byAddress[address] else { preconditionFailure("one left that never came") }
        self.byAddress[address] = here == 1 ? nil : here - 1
        self.count -= 1
    }

    private static func isLoopback(_ address: String) -> Bool {
        address.hasPrefix("127.") || address == "::1"
    }
}
