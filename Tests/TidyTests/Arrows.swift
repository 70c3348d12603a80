import Foundation

/// Which part may import which: the architecture, held as a table.
///
/// An arrow that is not in this table does not exist. A new one needs a page in `docs/decisions/`.
struct Part: Sendable {
    enum Storey: Sendable {
        /// Synchronous values: no clock, randomness, lock, log line, Foundation or event loop.
        case thinking
        /// Bytes in, decisions asked, actions run.
        case doing
        /// Names the concrete adapters.
        case assembly
        /// The fake world, which no product may import.
        case fake
    }

    let name: String
    let storey: Storey
    let allows: Set<String>
    /// What only the files with one of these beginnings may import besides: the shells of a thinking part.
    let shells: [String]
    let shellsAllow: Set<String>

    init(
        _ name: String, _ storey: Storey, _ allows: Set<String>, shells: [String] = [], shellsAllow: Set<String> = []
    ) {
        self.name = name
        self.storey = storey
        self.allows = allows
        self.shells = shells
        self.shellsAllow = shellsAllow
    }

    func isShell(_ file: String) -> Bool { self.shells.contains { file.hasPrefix($0) } }
}

enum Arrows {
    private static let system: Set<String> = ["Foundation", "Glibc", "Darwin", "Synchronization"]

    static let table: [Part] = [
        Part("ApusCore", .thinking, ["NIOCore"]),
        Part("KafkaWire", .thinking, ["NIOCore", "CApus", "CZlib", "CZstd", "CLZ4", "CSnappy"]),
        Part("ApusLog", .thinking, ["ApusCore", "KafkaWire", "CApus", "NIOCore"]),
        Part("ApusReplication", .thinking, ["ApusCore"]),
        Part("ApusGroups", .thinking, ["ApusCore", "KafkaWire", "NIOCore", "HeapModule"]),
        Part("ApusAccess", .thinking, ["ApusCore", "NIOCore", "Crypto", "CryptoExtras"]),
        Part("ApusPresence", .thinking, ["ApusCore", "NIOCore"]),
        Part("ApusSubscriptions", .thinking, ["ApusCore", "HashTreeCollections", "HeapModule"]),
        Part(
            "ApusBroker", .thinking,
            [
                "ApusCore", "ApusLog", "ApusReplication", "ApusGroups", "ApusAccess", "ApusSubscriptions",
                "ApusPresence", "KafkaWire", "NIOCore", "DequeModule", "HashTreeCollections",
            ],
            shells: ["Shard", "Broker"], shellsAllow: ["Logging", "Synchronization"]
        ),
        Part("WebFormats", .thinking, ["ApusBroker", "ApusAccess", "ApusCore", "NIOCore", "Crypto"]),
        Part(
            "KafkaDoor", .doing,
            [
                "ApusBroker", "ApusAccess", "ApusGroups", "ApusPresence", "ApusCore", "KafkaWire", "NIOCore",
                "NIOPosix", "NIOTLS", "NIOSSL", "DequeModule", "Logging",
            ]
        ),
        Part(
            "EdgeDoor", .thinking,
            [
                "WebFormats", "ApusBroker", "ApusAccess", "ApusPresence", "ApusCore", "KafkaWire", "CZlib", "NIOCore",
                "Crypto",
            ],
            shells: ["Endpoint"], shellsAllow: ["NIOHTTP1", "DequeModule", "Logging", "Synchronization"]
        ),
        Part(
            "HTTPDoor", .doing,
            [
                "ApusBroker", "ApusAccess", "ApusGroups", "ApusPresence", "ApusCore", "KafkaWire", "WebFormats",
                "NIOCore", "NIOHTTP1", "NIOSSL", "Crypto", "Logging", "Synchronization", "Hummingbird",
                "HummingbirdCore", "HTTPTypes",
                "NIOHTTPTypes", "NIOHTTPTypesHTTP1",
            ]
        ),
        Part("ApusSystem", .doing, system.union(["ApusCore", "CApus", "Dispatch", "NIOCore", "NIOPosix", "Logging"])),
        Part("ApusSQLite", .doing, system.union(["ApusCore", "CApus", "Dispatch", "GRDB"])),
        Part(
            "ApusClient", .doing,
            [
                "ApusCore", "ApusAccess", "KafkaWire", "NIOCore", "NIOPosix", "NIOSSL", "DequeModule", "Logging",
                "Synchronization", "Glibc", "Darwin",
            ]
        ),
        Part(
            "ApusUpstream", .doing,
            [
                "ApusBroker", "ApusAccess", "ApusPresence", "ApusClient", "ApusCore", "EdgeDoor", "KafkaWire",
                "NIOCore", "DequeModule", "Logging", "Synchronization",
            ]
        ),
        Part("ApusFakes", .fake, ["ApusCore", "NIOCore", "Synchronization"]),
        Part(
            "ApusServer", .assembly,
            system.union([
                "ApusBroker", "ApusAccess", "ApusCore", "KafkaDoor", "HTTPDoor", "EdgeDoor", "WebFormats", "ApusSystem",
                "ApusSQLite", "ApusUpstream", "ApusClient", "Crypto", "NIOCore", "NIOPosix", "NIOSSL", "NIOHTTP1",
                "AsyncHTTPClient", "Logging",
            ])
        ),
        Part(
            "ApusCommand", .doing, system.union(["ApusClient", "ApusCore", "NIOCore", "Configuration", "Histogram"])
        ),
        Part(
            "apus", .assembly,
            system.union([
                "ApusCommand", "ApusSystem", "ApusServer", "WebFormats", "NIOSSL", "ApusClient", "ApusCore",
                "KafkaWire", "ApusLog", "NIOCore", "NIOPosix", "DequeModule", "Logging", "ArgumentParser",
                "Configuration", "ServiceLifecycle", "UnixSignals", "Histogram",
            ])
        ),
        Part("kafka-wire-gen", .assembly, ["Foundation"]),
    ]

    /// Arrows that the design forbids for good, whoever writes them into the table.
    static func forbidden(from part: Part, to module: String) -> String? {
        let ours = Set(self.table.map(\.name)).subtracting(["ApusCore"])
        switch (part.name, module) {
        case ("KafkaWire", _) where module.hasPrefix("Apus"): return "the wire knows nothing of ours"
        case (_, "apus"): return "nothing imports the executable"
        case (let from, let to) where from.hasSuffix("Door") && to.hasSuffix("Door"): return "a door knows no door"
        case (let from, "ApusLog") where from.hasSuffix("Door"),
            (let from, "ApusReplication") where from.hasSuffix("Door"):
            return "a door knows the broker's verbs, not its parts"
        case ("ApusGroups", "ApusLog"), ("ApusGroups", "ApusReplication"), ("ApusGroups", "ApusBroker"):
            return "groups think about records, and know nothing of who keeps them"
        case ("ApusLog", "ApusReplication"), ("ApusReplication", "ApusLog"): return "log and replication never meet"
        case ("ApusClient", "ApusBroker"), ("ApusClient", "ApusServer"): return "the client knows no broker"
        case ("ApusSystem", let to) where ours.contains(to), ("ApusSQLite", let to) where ours.contains(to):
            return "an adapter knows its port only"
        case (_, "ApusFakes") where part.storey != .fake, (_, "ApusSimulator") where part.storey != .fake:
            return "no product imports the fake world"
        default: break
        }
        let doing: Set<String> = ["Foundation", "FoundationEssentials", "Glibc", "Darwin", "NIOPosix", "Logging"]
        if part.storey == .thinking, doing.contains(module) {
            return "thinking does no I/O, keeps no clock, logs nothing"
        }
        return nil
    }

    /// The findings of one source file.
    static func findings(in file: SourceFile, table: [Part] = Self.table) -> [Finding] {
        guard let part = table.first(where: { $0.name == file.folder }) else {
            return [Finding(path: file.path, line: 1, rule: "part \(file.folder) is not in the arrows table")]
        }
        return imports(of: file).compactMap { module, line in
            let shell = part.isShell(file.name) && part.shellsAllow.contains(module)
            guard !shell, !part.allows.contains(module) else { return nil }
            return Finding(path: file.path, line: line, rule: "\(part.name) may not import \(module)")
        }
    }

    /// The modules that a file imports, with their lines; `import struct Module.Name` counts as `Module`.
    static func imports(of file: SourceFile) -> [(module: String, line: Int)] {
        let kinds: Set<String> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias", "actor"]
        return file.words.indices.compactMap { index in
            guard file.words[index].text == "import", file.words[index].before != .dot else { return nil }
            let rest = file.words[(index + 1)...].drop { kinds.contains($0.text) }
            guard let first = rest.first else { return nil }
            return (first.text, first.line)
        }
    }

    /// What `Package.swift` lets each part depend on: every quoted name in a `part(…)`, an executable or a target.
    static func declared(in manifest: String) -> [(part: String, needs: [String])] {
        manifest.components(separatedBy: "part(").dropFirst().compactMap { chunk in
            guard let end = chunk.firstIndex(of: "]") else { return nil }
            let names = chunk[..<end].split(separator: "\"", omittingEmptySubsequences: false)
            let quoted = names.enumerated().compactMap { $0.offset.isMultiple(of: 2) ? nil : String($0.element) }
            guard let part = quoted.first, !part.contains("\\") else { return nil }
            return (part, Array(quoted.dropFirst()))
        }
    }
}
