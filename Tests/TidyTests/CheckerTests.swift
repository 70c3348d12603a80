import Testing

/// Each check must be able to fail: small trees that break one rule each, and the same without the defect.
@Suite("The checks see what they look for")
struct CheckerTests {
    private func thinking(_ text: String, name: String = "Log.swift") -> SourceFile {
        SourceFile(path: "Sources/ApusLog/\(name)", text: text)
    }

    @Test("comments and strings are not code, interpolations are")
    func blanking() {
        let text = #"let a = "Task \(await b) Date(" // Task {"# + "\n/* print( /* async */ */ let c = #\"\\(Task)\"#"
        let words = SourceFile(path: "Sources/ApusLog/A.swift", text: text).words
        #expect(words.map(\.text) == ["let", "a", "await", "b", "let", "c"])
        #expect(words.last?.line == 2)
    }

    @Test("a multi-line string ends where it ends")
    func multilineStrings() {
        let text = "let a = \"\"\"\n  \"quoted\" Task {\n  \\(inside(1))\n\"\"\"\nlet b = 1"
        #expect(SourceFile(path: "Sources/ApusLog/A.swift", text: text).words.map(\.text).contains("Task") == false)
        #expect(SourceFile(path: "Sources/ApusLog/A.swift", text: text).words.last?.line == 5)
    }

    @Test("a key that stands twice in one dictionary literal is found, and nothing else is")
    func keysTwice() {
        let text = """
            let a = ["x": 1, "y": [2: 3, 2: 4], .one: f("x", [.one: 1]),
                // again
                "x": 5, .one: 6]
            let b = [c ? "x" : "y", d ? "x" : "z"] as [String: [String: Int]]
            let c = ["x": 1, "\\(x)": 2, "\\(x)": 3, "[,": 4, "X": 5]
            """
        let found = Literals.findings(in: self.thinking(text))
        #expect(found.map(\.line) == [1, 3, 3])
    }

    @Test(
        "an import outside the table is found",
        arguments: [
            ("import Foundation", "ApusLog"), ("package import NIOPosix", "ApusCore"), ("import Logging", "ApusBroker"),
            ("import struct ApusCore.Offset", "KafkaWire"), ("@testable import ApusBroker", "ApusLog"),
            ("import ApusLog", "KafkaDoor"), ("import ApusFakes", "ApusServer"), ("import ApusBroker", "ApusClient"),
        ]
    )
    func foreignImports(line: String, part: String) {
        let file = SourceFile(path: "Sources/\(part)/Partition.swift", text: "// import Nothing\n\(line)\n")
        #expect(Arrows.findings(in: file).map(\.line) == [2])
    }

    @Test("an import of the table passes, and shells may log")
    func knownImports() {
        let log = self.thinking("package import ApusCore\nimport NIOCore\nlet text = \"import Foundation\"")
        #expect(Arrows.findings(in: log) == [])
        let shell = SourceFile(path: "Sources/ApusBroker/Shard+Disk.swift", text: "import Logging")
        #expect(Arrows.findings(in: shell) == [])
    }

    @Test("a part that the table does not know is found")
    func unknownPart() {
        #expect(Arrows.findings(in: SourceFile(path: "Sources/ApusNew/A.swift", text: "")).count == 1)
    }

    @Test(
        "arrows that the design forbids are refused even if the table held them",
        arguments: [
            ("ApusLog", "ApusReplication"), ("KafkaWire", "ApusCore"), ("KafkaDoor", "ApusLog"),
            ("ApusCore", "Logging"),
            ("ApusSQLite", "ApusSystem"), ("ApusServer", "ApusFakes"), ("ApusClient", "ApusBroker"),
            ("KafkaDoor", "apus"),
        ]
    )
    func forbiddenArrows(from: String, to: String) throws {
        let part = try #require(Arrows.table.first { $0.name == from })
        #expect(Arrows.forbidden(from: part, to: to) != nil)
    }

    @Test("the manifest's arrows are read")
    func manifest() {
        let text = "part(\"ApusLog\", [\"ApusCore\", nioCore], tests: [\"ApusFakes\"]),\npart(\n \"B\", [\"C\"]\n)"
        let declared = Arrows.declared(in: text)
        #expect(declared.map(\.part) == ["ApusLog", "B"])
        #expect(declared.map(\.needs) == [["ApusCore"], ["C"]])
    }

    @Test(
        "a word banned in the thinking storey is found",
        arguments: [
            "let now = Date()", "let id = UUID()", "Task { }", "func f() async {}", "await f()",
            "Int.random(in: 0...3)", "print(\"x\")", "let lock = Mutex(0)", "list.shuffled()",
            "let clock = ContinuousClock()",
            "let log: Logger", "try! f()", "let a = b as! Int", "Task.detached { }",
        ]
    )
    func bannedWords(line: String) {
        #expect(Ban.findings(in: self.thinking("// Task\n\(line)\n")).contains { $0.line == 2 })
    }

    @Test(
        "words that only look banned pass",
        arguments: [
            "let updateTask = 1", "/// Task, Date(), async", "let text = \"print(1)\"",
            "Int.random(in: 0...3, using: &dice)",
            "case .async: break", "let a = b as? Int", "fingerprint(1)", "let date: Date", "func print(_ x: Int) {}",
            "if !a { }", "dump.append(1)",
        ]
    )
    func innocentWords(line: String) {
        #expect(Ban.findings(in: self.thinking(line)) == [])
    }

    @Test("shells may lock, and tests may make tasks, but nobody may sleep")
    func placesOfBans() {
        let shell = SourceFile(path: "Sources/ApusBroker/Broker.swift", text: "let lock = Mutex(0)")
        #expect(Ban.findings(in: shell) == [])
        let test = SourceFile(path: "Tests/ApusLogTests/A.swift", text: "Task { }\nawait Task.sleep(for: .seconds(1))")
        #expect(Ban.findings(in: test).map(\.line) == [2])
        let tool = SourceFile(path: "Sources/apus/Serve.swift", text: "print(1)\nTask { }")
        #expect(Ban.findings(in: tool).map(\.line) == [2])
    }

    @Test("a file of 501 lines is too long, one of 500 is not")
    func fileLength() {
        let line = "let a = 1\n"
        #expect(Shape.length(of: self.thinking(String(repeating: line, count: 501))).count == 1)
        #expect(Shape.length(of: self.thinking(String(repeating: line, count: 500))) == [])
    }

    @Test("a line of 121 columns is too wide, counted in characters")
    func columns() {
        #expect(Shape.columns(of: self.thinking("//\n" + String(repeating: "x", count: 121))).map(\.line) == [2])
        #expect(Shape.columns(of: self.thinking(String(repeating: "é", count: 120))) == [])
    }

    @Test("a function of 61 lines is too long, one of 60 is not, and a requirement has no body")
    func functionLength() {
        func function(_ head: String, lines: Int) -> SourceFile {
            let body = String(repeating: "    a()\n", count: lines - 2)
            return self.thinking("protocol P {\n    func g(_ a: (Int) -> Int) -> Int\n}\n\(head) {\n\(body)}\n")
        }
        #expect(Shape.functions(of: function("func f(a: Int)", lines: 61)).map(\.line) == [4])
        #expect(Shape.functions(of: function("init(a: [Int] = [])", lines: 61)).count == 1)
        #expect(Shape.functions(of: function("func f(\n    a: Int\n) -> Int\nwhere A: B", lines: 61)).count == 1)
        #expect(Shape.functions(of: function("func f(a: Int)", lines: 60)) == [])
        #expect(Shape.functions(of: self.thinking("let a = B.init(c) \(String(repeating: "\n", count: 90)) { }")) == [])
    }

    @Test(
        "names without an idea are found",
        arguments: ["Utils.swift", "LogHelpers.swift", "Log+Misc.swift", "DiskManager.swift", "Placeholder.swift"])
    func fileNames(name: String) {
        #expect(Shape.name(of: self.thinking("", name: name)).count == 1)
        #expect(Shape.name(of: self.thinking("", name: "Log+Recovery.swift")) == [])
    }

    @Test("unfinished work is found, words that hold its mark are not")
    func leftovers() {
        let text = "// TO" + "DO: later\nlet a = 1 // FIX" + "ME\nlet TODOS = 1\n"
        #expect(Shape.leftovers(in: self.thinking(text)).map(\.line) == [1, 2])
    }

    @Test("a claim the compiler cannot check needs its reason")
    func proofs() {
        let claim = "extension A: @unchecked " + "Sendable {}"
        #expect(Shape.proofs(in: self.thinking(claim)).count == 1)
        #expect(Shape.proofs(in: self.thinking("// Touched on one loop only.\n" + claim)) == [])
    }

    @Test("a test without a sentence is found")
    func testNames() {
        let at = "@" + "Test"
        func test(_ text: String) -> SourceFile { SourceFile(path: "Tests/ApusLogTests/A.swift", text: text) }
        #expect(Sentences.findings(in: test("\(at) func a() {}")).count == 1)
        #expect(Sentences.findings(in: test("\(at)(\"roundtrip\") func a() {}")).count == 1)
        #expect(Sentences.findings(in: test("\(at)(\n  \"a record is kept\", arguments: [1])\nfunc a() {}")) == [])
        #expect(Sentences.findings(in: test("\(at) func `a record is kept`() {}")) == [])
    }

    @Test("a generated file is known by its header")
    func generated() {
        #expect(
            SourceFile(path: "Sources/KafkaWire/Messages/A.swift", text: "// Generated. Do not edit.\n").isGenerated)
        #expect(!SourceFile(path: "Sources/KafkaWire/A.swift", text: "// a\n// b\n// c\n// do not edit\n").isGenerated)
    }

    @Test("a page that names other versions or a file that is gone is found out")
    func documents() {
        let text = "/// Fetch (1): reads.\nenum FetchHandler {\n    static let versions: ClosedRange<Int16> = 4...17\n}"
        let file = SourceFile(path: "Sources/KafkaDoor/Handlers/FetchHandler.swift", text: text)
        #expect(Documents.servedVersions(of: file)?.versions == "4–17")
        #expect(Documents.toldVersions(in: "| 1 | Fetch | 4–16 | sessions |") == ["Fetch": "4–16"])
        #expect(Documents.paths(in: "See `Sources/A.swift` and `swift test`.") == ["Sources/A.swift"])
    }
}
