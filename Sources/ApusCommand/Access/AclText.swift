import ApusCore
package import ApusClient

/// Rules as they are typed: `alice`, `read,write`, `topic:orders-*`.
package enum AclText {
    /// `alice` is `User:alice`; `*` is everybody.
    package static func principal(_ text: String) throws(CommandFailure) -> String {
        guard !text.isEmpty else { throw .usage("a principal is missing", next: "write it as alice or User:alice") }
        return text.contains(":") ? text : "User:" + text
    }

    /// Operations with commas between, in small letters.
    package static func operations(_ text: String) throws(CommandFailure) -> [AclRule.Operation] {
        var operations: [AclRule.Operation] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let operation = AclRule.Operation(String(word).lowercased().replacing("_", with: "-")) else {
                let known = AclRule.Operation.allCases.map(\.description).joined(separator: " ")
                throw .usage("\"\(word)\" is not an operation", next: "one or more of: \(known)")
            }
            operations.append(operation)
        }
        return operations
    }

    /// `cluster`, or `topic:NAME`, `group:NAME` and so on. A star behind a name makes it a prefix, a star alone is
    /// every name.
    package static func resource(_ text: String) throws(CommandFailure) -> AclRule.Resource {
        if text == "cluster" { return .cluster }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let kind = AclRule.Resource.Kind(String(parts[0])), kind != .cluster, !parts[1].isEmpty
        else {
            throw .usage(
                "\"\(text)\" is not a resource",
                next: "write it as topic:NAME, group:NAME, transactional-id:NAME, subscription:NAME or cluster; "
                    + "topic:orders-* is every topic that begins so")
        }
        let name = String(parts[1])
        guard name != "*", name.hasSuffix("*") else { return AclRule.Resource(kind, name) }
        return AclRule.Resource(kind, String(name.dropLast()), isPrefix: true)
    }

    package static func listing(of rules: [AclRule], results: [String]? = nil) -> Listing {
        var columns: [Listing.Column] = [
            .init("principal"), .init("permission"), .init("operation"), .init("resource"), .init("name"),
            .init("pattern"), .init("host"),
        ]
        if results != nil { columns.append(.init("result")) }
        var listing = Listing(columns)
        for (index, rule) in rules.enumerated() {
            var row: [Cell] = [
                .text(rule.principal), .text("\(rule.permission)"), .text("\(rule.operation)"),
                .text("\(rule.resource.kind)"), .text(rule.resource.name),
                .text(rule.resource.isPrefix ? "prefixed" : "literal"), .text(rule.host),
            ]
            if let results { row.append(.text(results[index])) }
            listing.add(row)
        }
        return listing
    }
}
