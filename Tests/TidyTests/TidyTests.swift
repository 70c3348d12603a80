import Foundation
import Testing

/// The tree as it stands, held against the rules of the house.
@Suite("The tree is tidy")
struct TidyTests {
    private func expectNone(_ findings: [Finding], location: SourceLocation = #_sourceLocation) {
        let list = findings.map(\.description).joined(separator: "\n")
        #expect(findings.isEmpty, "\(findings.count) findings:\n\(list)", sourceLocation: location)
    }

    @Test("the tree is found, so that the other checks look at something")
    func findsTheTree() {
        #expect(Tree.sources.count > 12)
        #expect(Set(Tree.sources.map(\.folder)).isSuperset(of: ["ApusLog", "KafkaWire", "apus"]))
    }

    @Test("every import is an arrow of the table")
    func importsAreArrows() {
        self.expectNone(Tree.sources.flatMap { Arrows.findings(in: $0) })
    }

    @Test("the table holds no arrow that the design forbids")
    func tableIsLegal() {
        let bad = Arrows.table.flatMap { part in
            part.allows.compactMap { module in
                Arrows.forbidden(from: part, to: module).map { "\(part.name) → \(module): \($0)" }
            }
        }
        #expect(bad == [])
    }

    @Test("Package.swift declares no dependency between our parts that the table lacks")
    func manifestFollowsTheTable() throws {
        let declared = Arrows.declared(in: try Tree.text(of: "Package.swift"))
        #expect(declared.count > 8)
        for (name, needs) in declared {
            let part = try #require(Arrows.table.first { $0.name == name }, "\(name) is not in the arrows table")
            let ours = needs.filter { need in Arrows.table.contains { $0.name == need } }
            #expect(Set(ours).subtracting(part.allows) == [], "\(name) declares arrows that the table lacks")
        }
    }

    @Test("no part uses a word that is banned there")
    func bannedWords() {
        self.expectNone(Tree.handwritten.flatMap { Ban.findings(in: $0) })
    }

    @Test("files, functions and lines keep their limits, files their names, and nothing is left unfinished")
    func shapes() {
        self.expectNone(Tree.handwritten.flatMap { Shape.findings(in: $0) })
    }

    @Test("no dictionary literal has a key twice")
    func literals() {
        self.expectNone(Tree.files.flatMap { Literals.findings(in: $0) })
    }

    @Test("every test has a sentence for a name")
    func sentences() {
        self.expectNone(
            Tree.handwritten.flatMap { Sentences.findings(in: $0) })
    }

    @Test("generated messages say that they are, and where they come from")
    func generatedHeaders() {
        let generated = Tree.sources.filter { $0.path.hasPrefix("Sources/KafkaWire/Messages/") }
        for file in generated {
            let head = file.text.prefix(600)
            #expect(head.localizedCaseInsensitiveContains("do not edit"), "\(file.path) hides that it is generated")
            #expect(head.contains("kafka-wire-gen"), "\(file.path) does not name its generator")
        }
    }

    @Test("docs/protocol.md names the versions that the handlers serve")
    func protocolPage() throws {
        let served = Dictionary(
            uniqueKeysWithValues: Tree.sources.compactMap { Documents.servedVersions(of: $0) }.map {
                ($0.api, $0.versions)
            }
        )
        let told = Documents.toldVersions(in: try Tree.text(of: "docs/protocol.md"))
        #expect(served.count > 10)
        #expect(told == served)
    }

    @Test("every word that a command may end with is in the guide of apus errors")
    func errorGuide() throws {
        let guide = try Tree.text(of: "Sources/ApusCommand/ErrorGuide.swift")
        let client = try Tree.text(of: "Sources/ApusClient/Client/ApusError.swift").split(separator: "\n").filter {
            $0.contains(" = Code(\"")
        }
        let names = client.compactMap { $0.split(separator: " ").dropFirst(3).first }
        #expect(names.count > 10)
        #expect(names.filter { !guide.contains("(.\($0), ") } == [], "not in the guide")

        let ofTheClient = client.flatMap { Documents.quoted(in: String($0), behind: "Code(\"") }
        let commands = Tree.sources.filter {
            ["apus", "ApusCommand"].contains($0.folder) && $0.name != "ErrorGuide.swift"
        }
        // How a server ends that does not start; its verbs end no command.
        let server = try Tree.text(of: "Sources/ApusServer/ServerError.swift").components(separatedBy: "\n\n")
        let starts = Documents.quoted(
            in: try #require(server.first { $0.contains("data_in_use") }), behind: "Code(\"")
        let words = Set(commands.flatMap { Documents.quoted(in: $0.text, behind: "code: \"") })
            .subtracting(ofTheClient.map { $0.replacing(" ", with: "_") })
        #expect(words.count > 10 && starts.count > 5)
        #expect(words.union(starts).filter { !guide.contains("\"\($0)\", .") }.sorted() == [], "not in the guide")
    }

    @Test("files that the documents name are there")
    func documentsNameFiles() throws {
        for page in [
            "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/protocol.md", "docs/formats/segment.md",
            "docs/formats/journal.md", "docs/command-line.md",
        ] {
            let missing = Documents.paths(in: try Tree.text(of: page)).filter { !Tree.holds($0) }
            #expect(missing == [], "\(page) names files that are not there")
        }
    }
}
