/// Rights by prefix, for one principal and type of resource.
///
/// The prefixes stand sorted, each with a link to the longest other one that it begins with. Of all prefixes of a name
/// the longest is then found by one binary search: take the last entry that is not behind the name; whatever prefix of
/// the name there is, that entry begins with it or is it, so it is among the entry and those it links to. What the
/// shorter ones say is merged into each entry beforehand.
struct PrefixTable: Sendable {
    private struct Entry {
        let prefix: ExactText
        let byteCount: Int
        /// The longest other prefix that this one begins with.
        var parent: Int?
        var own: Grants
        /// For any host, with the parents' merged in.
        var rights: Rights
        /// Whether this or a parent has rules of single hosts: rare, so they are looked for one by one.
        var hasHosts: Bool
    }

    private var entries: [Entry] = []

    init(_ grants: [ExactText: Grants]) {
        self.entries.reserveCapacity(grants.count)
        // The chain of prefixes that the one before begins with, itself included.
        var chain: [Int] = []
        for (prefix, own) in grants.sorted(by: { $0.key < $1.key }) {
            while let last = chain.last, !prefix.hasPrefix(self.entries[last].prefix) { chain.removeLast() }
            var rights = own.anyHost
            if let parent = chain.last { rights.add(self.entries[parent].rights) }
            let hasHosts = !own.hosts.isEmpty || chain.last.map { self.entries[$0].hasHosts } ?? false
            chain.append(self.entries.count)
            self.entries.append(
                Entry(
                    prefix: prefix, byteCount: prefix.utf8.count, parent: chain.dropLast().last, own: own,
                    rights: rights, hasHosts: hasHosts
                )
            )
        }
    }

    var isEmpty: Bool { self.entries.isEmpty }
    var prefixes: [ExactText] { self.entries.map(\.prefix) }

    /// What the prefixes of a name say, all together. `steps` counts the comparisons.
    func rights(of name: ExactText, from host: HostAddress?, steps: inout Int) -> Rights {
        guard let longest = self.longest(of: name, steps: &steps) else { return Rights() }
        var rights = self.entries[longest].rights
        guard let host, self.entries[longest].hasHosts else { return rights }
        var next: Int? = longest
        while let index = next {
            if let more = self.entries[index].own.hosts[host] { rights.add(more) }
            next = self.entries[index].parent
        }
        return rights
    }

    private func longest(of name: ExactText, steps: inout Int) -> Int? {
        var low = 0
        var high = self.entries.count
        while low < high {
            let middle = low + (high - low) / 2
            steps += 1
            if name < self.entries[middle].prefix { high = middle } else { low = middle + 1 }
        }
        guard low > 0 else { return nil }
        let common = zip(name.utf8, self.entries[low - 1].prefix.utf8).prefix { $0 == $1 }.count
        var next: Int? = low - 1
        while let index = next, self.entries[index].byteCount > common { next = self.entries[index].parent }
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
