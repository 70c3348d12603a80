/// Words that may not stand in some part of the tree, and why.
struct Ban: Sendable {
    enum Shape: Sendable {
        /// Anywhere in code.
        case word
        /// Only as a call: a parenthesis follows.
        case call
        /// Only where a brace or a parenthesis follows: a task is made.
        case made
        /// Only as `.name` of the given type.
        case member(of: String)
        /// Only with an exclamation mark right behind it.
        case forced
        /// A call without `using:` on its line: randomness nobody seeded.
        case unseeded
    }

    let name: String
    let shape: Shape
    let why: String

    static let thinking: [Ban] =
        ["async", "await", "Task", "Mutex", "NSLock", "Lock", "DispatchQueue", "Thread", "Atomic"].map {
            Ban(name: $0, shape: .word, why: "a decision is synchronous and has one owner")
        }
        + ["ContinuousClock", "SuspendingClock", "clock_gettime", "gettimeofday", "ProcessInfo"].map {
            Ban(name: $0, shape: .word, why: "time comes in with the event")
        }
        + [Ban(name: "Date", shape: .call, why: "time comes in with the event")]
        + [Ban(name: "UUID", shape: .call, why: "identities come in through the Randomness port")]
        + [Ban(name: "SystemRandomNumberGenerator", shape: .word, why: "randomness comes in through its port")]
        + ["random", "randomElement", "shuffled", "shuffle"].map {
            Ban(name: $0, shape: .unseeded, why: "randomness comes in through its port")
        }
        + ["print", "debugPrint", "dump", "getenv", "readLine", "sleep", "usleep"].map {
            Ban(name: $0, shape: .call, why: "a decision does no I/O")
        }
        + [Ban(name: "Logger", shape: .word, why: "a decision writes no log line")]

    static let everywhere: [Ban] = [
        Ban(name: "try", shape: .forced, why: "peers, disks and users cause errors, never crashes"),
        Ban(name: "as", shape: .forced, why: "peers, disks and users cause errors, never crashes"),
        Ban(name: "sleep", shape: .member(of: "Task"), why: "wait for a condition with a deadline"),
        Ban(name: "detached", shape: .member(of: "Task"), why: "every task has a parent that waits for it"),
        Ban(name: "usleep", shape: .call, why: "wait for a condition with a deadline"),
        Ban(name: "sleep", shape: .call, why: "wait for a condition with a deadline"),
    ]

    static let sources: [Ban] = [
        Ban(name: "Task", shape: .made, why: "every task has a parent that waits for it")
    ]

    static let libraries: [Ban] = ["print", "debugPrint", "dump"].map {
        Ban(name: $0, shape: .call, why: "a library answers or logs; only the executable prints")
    }

    /// Executables talk to people.
    private static let printing: Set<String> = ["apus", "kafka-wire-gen"]

    static func applying(to file: SourceFile, table: [Part] = Arrows.table) -> [Ban] {
        var bans = self.everywhere
        guard !file.isTest else { return bans }
        bans += self.sources
        if !self.printing.contains(file.folder) { bans += self.libraries }
        if let part = table.first(where: { $0.name == file.folder }), part.storey == .thinking, !part.isShell(file.name)
        {
            bans += self.thinking
        }
        return bans
    }

    static func findings(in file: SourceFile) -> [Finding] {
        let bans = Dictionary(grouping: self.applying(to: file), by: \.name)
        let lines = file.lines
        return file.words.indices.flatMap { index -> [Finding] in
            let word = file.words[index]
            guard let candidates = bans[word.text] else { return [] }
            let previous = index > 0 ? file.words[index - 1].text : ""
            return candidates.filter { $0.matches(word, previous: previous, line: lines[word.line - 1]) }.map {
                Finding(path: file.path, line: word.line, rule: "`\(word.text)`: \($0.why)")
            }
        }
    }

    private func matches(_ word: Word, previous: String, line: Substring) -> Bool {
        let called = word.after == .open && word.touching == .open
        switch self.shape {
        case .word: return word.before != .dot && word.touching != UInt8(ascii: ":")
        case .call: return called && word.before != .dot && previous != "func"
        case .made: return word.before != .dot && (word.after == .openBrace || called)
        case .member(let type): return word.before == .dot && previous == type
        case .forced: return word.touching == .bang
        case .unseeded: return called && previous != "func" && !line.contains("using:")
        }
    }
}
