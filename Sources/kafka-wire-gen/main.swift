import Foundation

// Usage: kafka-wire-gen [--check] [PACKAGE]
//
// Reads the schema table and writes the message types. With --check it writes nothing and fails, naming each file, if
// writing would change anything.

var arguments = CommandLine.arguments.dropFirst()
let isCheck = arguments.first == "--check"
if isCheck { arguments.removeFirst() }
let root = URL(fileURLWithPath: arguments.first ?? ".", isDirectory: true)

func names(in folder: String, suffix: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: root.appendingPathComponent(folder).path)
        .filter { $0.hasSuffix(suffix) }.sorted()
}

func run() throws -> Bool {
    let tables = try names(in: Generator.schemaFolder, suffix: ".schema").map {
        try String(contentsOf: root.appendingPathComponent("\(Generator.schemaFolder)/\($0)"), encoding: .utf8)
    }
    let files = try Generator.files(from: tables)
    var isCurrent = true
    for folder in Generator.outputFolders {
        try FileManager.default.createDirectory(
            at: root.appendingPathComponent(folder), withIntermediateDirectories: true
        )
        for name in try names(in: folder, suffix: ".swift") where files["\(folder)/\(name)"] == nil {
            isCurrent = false
            print("\(folder)/\(name): no schema makes it")
            if !isCheck { try FileManager.default.removeItem(at: root.appendingPathComponent("\(folder)/\(name)")) }
        }
    }
    for (path, text) in files.sorted(by: { $0.key < $1.key }) {
        let url = root.appendingPathComponent(path)
        guard (try? String(contentsOf: url, encoding: .utf8)) != text else { continue }
        isCurrent = false
        print(path)
        if !isCheck { try text.write(to: url, atomically: true, encoding: .utf8) }
    }
    return isCurrent
}

do {
    let isCurrent = try run()
    exit(isCheck && !isCurrent ? 1 : 0)
} catch {
    print("kafka-wire-gen: \(error)")
    exit(2)
}
