import Foundation
import Testing

/// Clients that are not ours, each against a fresh `apus serve`: what they write, every other client reads.
///
/// The scripts are in `Conformance/`; each starts a broker of its own, prints one closing line, and polls with
/// deadlines. `make test` makes the virtual environment they run in.
@Suite("Foreign clients use Apus unchanged", .enabled(if: Scripts.areRunnable, "`make test` makes what these need"))
struct ForeignClientTests {
    @Test(
        "a foreign client finds what it expects",
        arguments: [
            "rest",
            "every_codec", "positions", "kcat_commands", "admin_confluent", "admin_kafka_python", "admin_aiokafka",
            "groups_confluent", "groups_kafka_python", "groups_aiokafka", "logins", "compaction", "edge",
            "browser", "presence", "injection",
        ]
    )
    func scriptPasses(name: String) async throws {
        let outcome = try await Scripts.run(name)
        print(outcome.closing)
        #expect(outcome.status == 0, "\(name) ended with \(outcome.status):\n\(outcome.output)")
    }

    @Test("every script is in the list above")
    func noScriptIsForgotten() throws {
        let folder = try FileManager.default.contentsOfDirectory(atPath: Scripts.root + "/Conformance")
        let shared = ["harness.py", "lives.py", "pki.py"]
        let scripts = folder.filter { $0.hasSuffix(".py") && !shared.contains($0) }
        #expect(scripts.count == 16)
    }
}

/// Runs the Python of `Conformance/` against the executable that was built beside these tests.
enum Scripts {
    struct Outcome: Sendable {
        let status: Int32
        let output: String

        /// The line that counts the checks.
        var closing: Substring { self.output.split(separator: "\n").last { $0.contains(" checks, ") } ?? "no count" }
    }

    /// Longer than any script takes; a client that hangs is a failure, not a stuck build.
    private static let secondsMax = 1200

    static let root = String(#filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" })
    static let apus = Self.root + "/.build/debug/apus"

    /// `APUS_PYTHON` when set, and then it must work; else the virtual environment, if it is there.
    static let python = ProcessInfo.processInfo.environment["APUS_PYTHON"] ?? Self.root + "/.venv/bin/python"

    static var areRunnable: Bool {
        let named = ProcessInfo.processInfo.environment["APUS_PYTHON"] != nil
        return named || FileManager.default.isExecutableFile(atPath: self.python)
    }

    static func run(_ name: String) async throws -> Outcome {
        let output = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(name)-\(UUID().uuidString)")
        _ = FileManager.default.createFile(atPath: output.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: output) }  // best effort: it is a temporary file
        let sink = try FileHandle(forWritingTo: output)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
        process.arguments = [
            "\(self.secondsMax)", self.python, "\(self.root)/Conformance/\(name).py", "--apus", self.apus,
        ]
        process.standardOutput = sink
        process.standardError = sink
        let status = try await withCheckedThrowingContinuation { (ended: CheckedContinuation<Int32, any Error>) in
            process.terminationHandler = { ended.resume(returning: $0.terminationStatus) }
            do {
                try process.run()
            } catch {
                ended.resume(throwing: error)
            }
        }
        return Outcome(status: status, output: try String(contentsOf: output, encoding: .utf8))
    }
}
