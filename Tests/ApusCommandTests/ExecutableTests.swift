import Foundation
import Testing

/// The built `apus`, run as a user would.
@Suite(.timeLimit(.minutes(20))) struct ExecutableTests {
    @Test("serve, create, pub and sub: what goes in comes out, and a stop is clean")
    func roundTrip() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: directory) } }

        let broker = try Started(["serve", "--data", directory.appending(path: "data").path, "--kafka", "127.0.0.1:0"])
        defer { broker.process.terminate() }
        let ready = try #require(
            try JSONSerialization.jsonObject(with: Data(broker.firstLine().utf8)) as? [String: Any])
        #expect(ready["event"] as? String == "ready")
        #expect(ready["pid"] as? Int32 == broker.process.processIdentifier)
        let server = try #require(ready["kafka"] as? String)

        let created = try run(["topic", "create", "greetings", "-p", "2", "-s", server, "-o", "ndjson"])
        #expect(created.code == 0)
        #expect(created.output.hasPrefix(#"{"name":"greetings","result":"created","partitions":2,"#))

        let lines = (0..<5000).map { "line \($0)" }
        let input = lines.joined(separator: "\n") + "\n"
        #expect(try run(["pub", "greetings", "-p", "1", "-q", "-s", server], input: input).code == 0)
        let one = try run(["pub", "greetings", "hello", "-k", "key", "-H", "a=b", "-p", "0", "-s", server])
        #expect(one.error == "greetings[0]@0\n")

        let all = try run(["sub", "greetings", "-p", "1", "--from", "start", "-e", "-s", server])
        #expect(all.output == input)
        let last = try run(["sub", "greetings", "-p", "1", "--from", "-2", "-e", "-f", "%t[%p]@%o %v\\n", "-s", server])
        #expect(last.output == "greetings[1]@4998 line 4998\ngreetings[1]@4999 line 4999\n")
        let described = try run(["sub", "greetings", "-p", "0", "-n", "1", "-f", "%k %h{%k=%v} %v", "-s", server])
        #expect(described.output == "key a=b hello")

        let filled = [
            "pub", "greetings", "{{count}} of 2", "-k", "{{count}}", "-H", "n={{Count}}", "--template", "-c", "2",
        ]
        #expect(try run(filled + ["-p", "0", "-q", "-s", server]).code == 0)
        let two = try run(["sub", "greetings", "-p", "0", "--from", "-2", "-e", "-f", "%k %h{%v} %v,", "-s", server])
        #expect(two.output == "1 1 1 of 2,2 2 2 of 2,")
        let offsets = try run(["topic", "offsets", "greetings", "--at", "-1", "-o", "raw", "-s", server])
        #expect(offsets.output == "0\t0\t3\t2\t\n1\t0\t5000\t4999\t\n")

        try self.limitedTopic(server)
        try self.errors(server)
        try self.groups(server)
        #expect(try run(["topic", "rm", "small", "--yes", "-s", server]).code == 0)
        #expect(try run(["topic", "rm", "greetings", "--yes", "-s", server]).code == 0)
        #expect(try run(["topic", "ls", "-o", "json", "-s", server]).output == "[]\n")

        broker.process.terminate()
        broker.process.waitUntilExit()
        #expect(broker.process.terminationStatus == 0)
    }

    /// A topic whose `max.message.bytes` is below a producer's batches takes them in pieces, and one record too large
    /// is named.
    private func limitedTopic(_ server: String) throws {
        #expect(try run(["topic", "create", "small", "-c", "max.message.bytes=2000", "-s", server]).code == 0)
        let input = (0..<3000).map { "line \($0)\n" }.joined()
        #expect(try run(["pub", "small", "-q", "-s", server], input: input).code == 0)
        #expect(try run(["sub", "small", "-e", "-s\(server)"]).output == input)
        let large = try run(["pub", "small", String(repeating: "x", count: 3000), "-s", server])
        #expect(large.code == 65)
        #expect(large.error.contains("a record of 3000 bytes") && large.error.contains("max.message.bytes is 2000"))
        #expect(large.error.contains("MESSAGE_TOO_LARGE, from broker 1 at \(server)"))
        #expect(large.error.contains("apus topic set small max.message.bytes=SIZE"))
    }

    /// A group reads, stops in the middle, goes on there, is moved, is shown, and goes.
    private func groups(_ server: String) throws {
        let at = ["-s", server]
        #expect(try run(["topic", "create", "jobs", "-p", "1"] + at).code == 0)
        #expect(try run(["pub", "jobs", "-q"] + at, input: "1\n2\n3\n4\n5\n").code == 0)
        #expect(try run(["sub", "jobs", "-g", "workers", "-n", "2"] + at).output == "1\n2\n")
        #expect(try run(["sub", "jobs", "-g", "workers", "-n", "1"] + at).output == "3\n")
        #expect(try run(["group", "ls", "-o", "raw"] + at).output == "workers\tclassic\tEmpty\tconsumer\t1\n")
        #expect(try run(["group", "lag", "-o", "raw"] + at).output == "workers\t1\t0\t2\t2\n")
        let shown = try run(["group", "seek", "workers", "--by", "-2", "-o", "raw"] + at)
        #expect(shown.output == "jobs\t0\t0\t5\t3\t1\t-2\t4\twould move\n")
        #expect(try run(["group", "seek", "workers", "--by", "-2", "--execute", "-o", "raw"] + at).code == 0)
        #expect(try run(["sub", "jobs", "-g", "workers", "-n", "1"] + at).output == "2\n")
        let described = try run(["group", "describe", "workers", "-o", "ndjson"] + at).output
        #expect(described.contains(#""total_lag":3"#) && described.contains(#""current_offset":2,"log_end_offset":5"#))
        #expect(try run(["group", "seek", "workers"] + at).code == 64)
        #expect(try run(["group", "rm", "workers"] + at, input: "").code == 64)
        #expect(try run(["group", "rm", "workers", "--yes"] + at).code == 0)
        let gone = try run(["group", "describe", "workers"] + at)
        #expect(gone.code == 1 && gone.error.contains("there is no group workers (GROUP_ID_NOT_FOUND, from broker 1"))
        #expect(try run(["topic", "rm", "jobs", "--yes"] + at).code == 0)
    }

    /// Each says what, where and what to do, in words.
    private func errors(_ server: String) throws {
        let unknown = try run(["sub", "nosuch", "-e", "-s", server])
        #expect(unknown.code == 1 && unknown.output.isEmpty)
        #expect(unknown.error.contains("UNKNOWN_TOPIC_OR_PARTITION, from broker 1 at \(server)"))
        #expect(unknown.error.contains("apus topic create nosuch"))
        #expect(try run(["topic", "ls", "-o", "raw", "-s", server]).output.contains("nosuch") == false)
        let name = try run(["pub", "no name", "x", "-s", server])
        #expect(name.code == 64 && name.error.contains("can not be the name of a topic"))
        let matched = try run([
            "sub", "small", "-e", "--match", "line 299", "-n3", "-f%o %e %a{compression}\\n", "-s", server,
        ])
        #expect(matched.output == "299 0 none\n2990 0 none\n2991 0 none\n")
    }

    @Test("contexts: added, used, listed, removed; --context names one, and --server stands above the one in use")
    func contexts() throws {
        let home = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)")
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: home) } }
        func apus(_ arguments: String...) throws -> (code: Int32, output: String, error: String) {
            try run(arguments, configuration: home.path)
        }
        #expect(try apus("context", "ls", "-o", "json").output == "[]\n")
        #expect(try apus("context", "add", "here", "-s", "127.0.0.1:1", "--timeout", "2s", "--use").code == 0)
        #expect(try apus("context", "add", "there", "-s", "127.0.0.1:2").code == 0)
        #expect(
            try apus("context", "ls", "-o", "raw").output
                == "here\t127.0.0.1:1\t2s\ttrue\tfalse\t\nthere\t127.0.0.1:2\t\tfalse\tfalse\t\n")
        #expect(try apus("topic", "ls").error.contains("no broker answers at 127.0.0.1:1 "))
        #expect(try apus("topic", "ls", "--context", "there").error.contains("no broker answers at 127.0.0.1:2 "))
        #expect(try apus("topic", "ls", "-s", "127.0.0.1:3").error.contains("no broker answers at 127.0.0.1:3 "))
        let unknown = try apus("topic", "ls", "--context", "nowhere")
        #expect(unknown.code == 64 && unknown.error.contains("use here, there"))
        #expect(try apus("context", "rm", "here").code == 0)
        #expect(try apus("context", "ls", "-o", "raw").output == "there\t127.0.0.1:2\t\tfalse\tfalse\t\n")
    }

    @Test("errors: a number of the protocol leads to its name, its word and what to do")
    func errorGuide() throws {
        let found = try run(["errors", "36"])
        #expect(found.output.contains("TOPIC_ALREADY_EXISTS") && found.output.contains("--if-missing"))
        #expect(try run(["errors", "nosuch"]).code == 1)
    }

    @Test("log dump says what its argument is, when that is no data directory")
    func notData() throws {
        let directory = FileManager.default.temporaryDirectory.path
        for (path, words) in [
            ("/nowhere", "there is no such directory"), ("/dev/null", "is not a directory"),
            (directory, "is not the data directory of a broker"),
        ] {
            let failure = try run(["log", "dump", path])
            #expect(failure.code == 65 && failure.error.contains(words))
        }
    }

    @Test("nobody there: the reason is the system's, in words")
    func refused() throws {
        let failure = try run(["topic", "ls", "-s", "127.0.0.1:1"])
        #expect(failure.error.contains("no broker answers at 127.0.0.1:1 (Connection refused)"))
        #expect(failure.error.contains("apus serve"))
    }

    @Test("every command has options that are told apart, and help")
    func everyCommand() throws {
        // A debug build looks at the options of all commands before it shows any.
        let all = try run(["--experimental-dump-help"])
        #expect(all.code == 0, "\(all.error)")
        #expect(!(all.output + all.error).contains("Validation failed"), "\(all.output.prefix(1000))")
        for command in [["quota", "set"], ["quota", "rm"], ["acl", "add"], ["user", "add"], ["topic", "describe"]] {
            let help = try run(command + ["--help"])
            #expect(help.code == 0 && help.output.contains("USAGE: apus"), "\(help.output + help.error)")
        }
    }

    @Test("exit codes: usage, nobody there, refused, bad data")
    func exitCodes() throws {
        #expect(try run(["sub"]).code == 64)
        #expect(try run(["sub", "t", "--from", "yesterday"]).code == 64)
        #expect(try run(["topic", "ls", "-s", "127.0.0.1:1"]).code == 69)
        #expect(try run(["serve", "--kafka", "0.0.0.0:0", "--data", "/nowhere"]).code == 77)
        #expect(try run(["log", "dump", "/nowhere"]).code == 65)
        let failure = try run(["topic", "ls", "-s", "127.0.0.1:1", "-o", "json"])
        #expect(failure.output.isEmpty)
        #expect(failure.error.contains(#""code":"unreachable""#))
    }

    private func run(
        _ arguments: [String], input: String = "", configuration: String? = nil
    ) throws -> (code: Int32, output: String, error: String) {
        let command = try Started(arguments, input: input, configuration: configuration)
        let output = command.output.fileHandleForReading.readDataToEndOfFile()
        command.process.waitUntilExit()
        let error = try Data(contentsOf: command.errors)
        try FileManager.default.removeItem(at: command.errors)
        return (
            command.process.terminationStatus, String(decoding: output, as: UTF8.self),
            String(decoding: error, as: UTF8.self)
        )
    }
}

/// A running `apus`. Standard input and error are files: a pipe that nobody empties would block it.
private struct Started {
    let process = Process()
    let output = Pipe()
    let errors: URL

    init(_ arguments: [String], input: String = "", configuration: String? = nil) throws {
        let name = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)")
        self.errors = name.appendingPathExtension("stderr")
        let file = name.appendingPathExtension("stdin")
        try Data(input.utf8).write(to: file)
        try Data().write(to: self.errors)
        self.process.executableURL = try Self.executable()
        self.process.arguments = arguments
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("APUS_") }
        // The contexts of whoever runs the tests are none of ours.
        // A machine that does everything at once may take its time.
        environment["APUS_TIMEOUT"] = "5m"
        environment["XDG_CONFIG_HOME"] = configuration ?? "/nowhere"
        self.process.environment = environment
        self.process.standardInput = try FileHandle(forReadingFrom: file)
        self.process.standardOutput = self.output
        self.process.standardError = try FileHandle(forWritingTo: self.errors)
        try self.process.run()
        try FileManager.default.removeItem(at: file)
    }

    /// Waits for a whole line of output.
    func firstLine() throws -> String {
        var line = Data()
        while line.last != UInt8(ascii: "\n") {
            let more = self.output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "apus ended without a line")
            line += more
        }
        return String(decoding: line, as: UTF8.self)
    }

    /// `apus` lies beside the bundle of the tests that are running.
    private static func executable() throws -> URL {
        var folder = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
        for _ in 0..<4 {
            let candidate = folder.appending(path: "apus")
            if FileManager.default.isExecutableFile(atPath: candidate.path),
                !FileManager.default.directoryExists(candidate.path)
            {
                return candidate
            }
            folder = folder.deletingLastPathComponent()
        }
        throw CocoaError(.fileNoSuchFile)
    }
}

extension FileManager {
    fileprivate func directoryExists(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return self.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
    }
}
