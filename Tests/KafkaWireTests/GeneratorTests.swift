import Foundation
import Testing

@testable import kafka_wire_gen

@Suite("The generator")
struct GeneratorTests {
    /// The package that this file lies in.
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func contents(of folder: String, suffix: String) throws -> [String: String] {
        let url = self.root.appendingPathComponent(folder)
        let names = try FileManager.default.contentsOfDirectory(atPath: url.path).filter { $0.hasSuffix(suffix) }
        return try Dictionary(
            uniqueKeysWithValues: names.map {
                ("\(folder)/\($0)", try String(contentsOf: url.appendingPathComponent($0), encoding: .utf8))
            }
        )
    }

    @Test("what is committed is what the table makes; if not: swift run kafka-wire-gen")
    func committedFilesAreCurrent() throws {
        let tables = try Self.contents(of: Generator.schemaFolder, suffix: ".schema")
        let expected = try Generator.files(from: Array(tables.values))
        var committed: [String: String] = [:]
        for folder in Generator.outputFolders {
            try committed.merge(Self.contents(of: folder, suffix: ".swift")) { first, _ in first }
        }
        #expect(tables.count >= 40)
        #expect(Set(committed.keys) == Set(expected.keys))
        for (path, text) in expected { #expect(committed[path] == text, "\(path) is not what its schema makes") }
    }

    @Test("a table that makes no sense is refused with its line")
    func malformedTables() {
        let good =
            "api Ping 900\nrequest 0-1 flexible 1+\n    name string 0+\nresponse 0-1 flexible 1+\n    code error 0+\n"
        #expect(throws: Never.self) { try SchemaParser.parse(good) }
        for (from, to) in [
            ("api Ping 900", "api Ping"), ("string", "strung"), ("0+\nresponse", "zero\nresponse"),
            ("    name", "   name"), ("    name", "        name"), ("error 0+", "Thing 0+"),
            ("error 0+", "error 0+ tag"), ("error 0+", "error 0+ sometimes"), ("response", "answer"),
        ] {
            let bad = good.replacing(from, with: to)
            #expect(bad != good)
            #expect(throws: SchemaParser.Failure.self, "\(from) became \(to)") { try SchemaParser.parse(bad) }
        }
    }

    @Test("a version range reads as a condition that holds for exactly its versions")
    func conditions() throws {
        let served = 2...9
        #expect(VersionRange("0+")?.condition(in: served) == "true")
        #expect(VersionRange("4+")?.condition(in: served) == "version >= 4")
        #expect(VersionRange("0-5")?.condition(in: served) == "version <= 5")
        #expect(VersionRange("4-5")?.condition(in: served) == "(4...5).contains(version)")
        #expect(VersionRange("4")?.condition(in: served) == "version == 4")
        #expect(VersionRange("10+")?.condition(in: served) == "false")
        #expect(VersionRange("none")?.condition(in: served) == "false")
        #expect(VersionRange("5-4") == nil)
        #expect(VersionRange("x") == nil)
    }
}
