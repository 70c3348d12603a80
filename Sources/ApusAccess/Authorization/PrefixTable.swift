/// Rights by prefix, for one principal and type of resource.
///
/// The prefixes stand sorted, each with a link to the longest other one that it begins with. Of all prefixes of a name
/// the longest is then found by one binary search: take the last entry that is not behind the name; whatever prefix of
/// the name there is, that entry begins with it or is it, so it is among the entry and those it links to. What the
/// shorter ones say is merged into each entry beforehand.
///
/// What all prefixes begin with is compared once; the eight bytes behind it are kept as a number, which decides nearly
/// every step of the search.
struct PrefixTable: Sendable {
    private var prefixes: [ExactText] = []
    /// How many bytes all prefixes have in common.
    private var shared = 0
    private var heads: [UInt64] = []
    private var byteCounts: [Int] = []
    /// The longest other prefix that this one begins with; -1: none.
    private var parents: [Int] = []
    /// For any host, with the parents' merged in.
    private var rights: [Rights] = []
    private var own: [Grants] = []
    /// Whether a prefix or a parent has rules of single hosts: rare, so they are looked for one by one.
    private var hasHosts: [Bool] = []

    init(_ grants: [ExactText: Grants]) {
        let sorted = grants.sorted { $0.key < $1.key }
        if let first = sorted.first?.key, let last = sorted.last?.key { self.shared = first.commonCount(with: last) }
        // The chain of prefixes that the one before begins with, itself included.
        var chain: [Int] = []
        for (prefix, own) in sorted {
            while let last = chain.last, !prefix.hasPrefix(self.prefixes[last]) { chain.removeLast() }
            var rights = own.anyHost
            if let parent = chain.last { rights.add(self.rights[parent]) }
            self.hasHosts.append(!own.hosts.isEmpty || chain.last.map { self.hasHosts[$0] } ?? false)
            self.parents.append(chain.last ?? -1)
            self.rights.append(rights)
            self.own.append(own)
            self.heads.append(prefix.head(from: self.shared))
            self.byteCounts.append(prefix.utf8.count)
            chain.append(self.prefixes.count)
            self.prefixes.append(prefix)
        }
    }

    var isEmpty: Bool { self.prefixes.isEmpty }
    var all: [ExactText] { self.prefixes }

    /// What the prefixes of a name say, all together. `steps` counts the comparisons.
    func rights(of name: ExactText, from host: HostAddress?, steps: inout Int) -> Rights {
        let longest = self.longest(of: name, steps: &steps)
        guard longest >= 0 else { return Rights() }
        var rights = self.rights[longest]
        guard let host, self.hasHosts[longest] else { return rights }
        var next = longest
        while next >= 0 {
            if let more = self.own[next].hosts[host] { rights.add(more) }
            next = self.parents[next]
        }
        return rights
    }

    /// -1: none.
    private func longest(of name: ExactText, steps: inout Int) -> Int {
        // Shorter than what all have in common, or different there: no prefix of it can be among them.
        guard let first = self.prefixes.first, first.commonCount(with: name) >= self.shared else { return -1 }
        let head = name.head(from: self.shared)
        var low = 0
        var high = self.heads.count
        while low < high {
            let middle = low + (high - low) / 2
            steps += 1
            let isBehind =
                head == self.heads[middle] ? name < self.prefixes[middle] : head < self.heads[middle]
            if isBehind { high = middle } else { low = middle + 1 }
        }
        guard low > 0 else { return -1 }
        let common = name.commonCount(with: self.prefixes[low - 1])
        var next = low - 1
        while next >= 0, self.byteCounts[next] > common { next = self.parents[next] }
        return next
    }
}

/// The rules of one name: for any host, and for single ones.
struct Grants: Hashable, Sendable {
    var anyHost = Rights()
    var hosts: [HostAddress: Rights] = [:]

    mutating func add(_ acl: Acl) {
        switch acl.host {
        case .any: self.anyHost.add(acl.rights)
        case .address(let address): self.hosts[address, default: Rights()].add(acl.rights)
        }
    }

    func rights(from host: HostAddress?) -> Rights {
        var rights = self.anyHost
        if let host, !self.hosts.isEmpty, let more = self.hosts[host] { rights.add(more) }
        return rights
    }
}
