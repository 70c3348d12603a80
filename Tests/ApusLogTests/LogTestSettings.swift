import Foundation

enum LogTestSettings {
    /// How many seeds the randomized tests run in all.
    static let seedCount = ProcessInfo.processInfo.environment["APUS_SEEDS"].flatMap { Int($0) } ?? 10_000

    static func seeds(chunk: Int, of chunks: Int) -> [UInt64] {
        stride(from: chunk + 1, through: Self.seedCount, by: chunks).map { UInt64($0) }
    }
}
