import CFuzz
import Foundation

// apus-fuzz TARGET [libFuzzer's options and folders]
// apus-fuzz --list
// apus-fuzz --seeds TARGET FOLDER
let words = CommandLine.arguments

/// The most heap bytes held for each input byte, over all inputs of this run that are long enough to tell.
// libFuzzer calls on one thread, the one that set `chosen` before it began.
nonisolated(unsafe) var worst = (ratio: 0.0, inputBytes: 0)
nonisolated(unsafe) var chosen: FuzzTarget?

func target(named name: String) -> FuzzTarget {
    guard let found = FuzzTarget.all.first(where: { $0.name == name }) else {
        print("no target \(name); there are: \(FuzzTarget.all.map(\.name).joined(separator: " "))")
        exit(64)
    }
    return found
}

func oneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let target = chosen else { return -1 }
    let input = Array(UnsafeBufferPointer(start: data, count: count))
    cfuzz_count_from_here()
    target.run(input)
    let peak = Int(cfuzz_peak_bytes())
    // Not a precondition: a release build traps there without its words.
    if peak > target.heapBytesMax(count) {
        fatalError("\(target.name) held \(peak) heap bytes for \(count) bytes of input")
    }
    let ratio = Double(peak) / Double(max(1, count))
    if target.isProportional, count >= FuzzTarget.telling, ratio > worst.ratio { worst = (ratio, count) }
    return 0
}

func writeSeeds(of target: FuzzTarget, into folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (number, seed) in target.seeds().enumerated() {
        try Data(seed).write(to: URL(fileURLWithPath: "\(folder)/seed-\(number)"))
    }
}

switch words.dropFirst().first {
case "--list"?:
    for target in FuzzTarget.all { print(target.name) }
case "--seeds"? where words.count == 4:
    try writeSeeds(of: target(named: words[2]), into: words[3])
case let name? where !name.hasPrefix("-"):
    chosen = target(named: name)
    atexit { print("heap: at most \((worst.ratio * 10).rounded() / 10) bytes for each of \(worst.inputBytes)") }
    // libFuzzer keeps the arguments for as long as the process lives.
    var count = Int32(words.count - 1)
    let arguments = ([words[0]] + words.dropFirst(2)).map { strdup($0) } + [nil]
    var vector: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = .allocate(capacity: arguments.count)
    vector?.initialize(from: arguments, count: arguments.count)
    exit(LLVMFuzzerRunDriver(&count, &vector) { oneInput($0, $1) })
default:
    print("usage: apus-fuzz TARGET [options], apus-fuzz --list, apus-fuzz --seeds TARGET FOLDER")
    exit(64)
}
