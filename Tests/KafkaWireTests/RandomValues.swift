import NIOCore

@testable import KafkaWire

/// A message that a seed can make. The generator writes the conformances.
protocol RandomMessage: KafkaMessage {
    init(random: inout RandomValues, version: Int16)
}

/// Numbers from a seed, the same on every machine (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Makes field values. `.any` varies everything; the other manners make the extremes.
struct RandomValues {
    enum Manner: CaseIterable { case any, empty, null }

    var generator: SeededGenerator
    let manner: Manner

    init(seed: UInt64, manner: Manner = .any) {
        self.generator = SeededGenerator(seed: seed)
        self.manner = manner
    }

    mutating func integer<T: FixedWidthInteger>() -> T {
        guard self.manner == .any else { return 0 }
        return switch Int.random(in: 0..<6, using: &self.generator) {
        case 0: 0
        case 1: T.max
        case 2: T.min
        case 3: ~0
        default: T.random(in: T.min...T.max, using: &self.generator)
        }
    }

    mutating func bool() -> Bool { self.manner == .any && Bool.random(using: &self.generator) }

    mutating func double() -> Double { Double(self.integer() as Int32) }

    mutating func kafkaErrorCode() -> KafkaErrorCode { KafkaErrorCode(rawValue: self.integer()) }

    mutating func wireUUID() -> WireUUID { WireUUID(high: self.integer(), low: self.integer()) }

    mutating func string() -> String {
        let alphabet: [Character] = ["a", "z", "0", ".", "-", "_", " ", "\0", "é", "漢", "🐦"]
        return String((0..<self.length()).map { _ in alphabet.randomElement(using: &self.generator) ?? "a" })
    }

    mutating func byteBuffer() -> ByteBuffer {
        // Now and then long enough that the writer shares it instead of copying.
        let isLong = self.manner == .any && Int.random(in: 0..<8, using: &self.generator) == 0
        let count = isLong ? WireLimits.sharedChunkBytesMin + self.length() : self.length()
        return ByteBuffer(bytes: (0..<count).map { _ in UInt8.random(in: 0...255, using: &self.generator) })
    }

    mutating func wireRecords() -> WireRecords {
        WireRecords((0..<self.length() % 4).map { _ in self.byteBuffer() })
    }

    mutating func array<Element>(_ element: (inout RandomValues) -> Element) -> [Element] {
        (0..<self.length() % 4).map { _ in element(&self) }
    }

    mutating func nullable<Value>(_ value: (inout RandomValues) -> Value) -> Value? {
        switch self.manner {
        case .null: nil
        case .empty: value(&self)
        case .any: Bool.random(using: &self.generator) ? value(&self) : nil
        }
    }

    private mutating func length() -> Int {
        guard self.manner == .any else { return 0 }
        return Int.random(in: 0..<4, using: &self.generator) == 0
            ? Int.random(in: 100..<300, using: &self.generator) : Int.random(in: 0..<5, using: &self.generator)
    }
}
