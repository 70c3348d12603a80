import ApusCore
import CApus

/// A CRC-32C over the values of a row, each with its kind and length, so that no byte can move from one to the next.
struct RowChecksum {
    private var crc: UInt32 = 0

    /// `table` is in it too: a row is no row of another table.
    init(_ table: String) {
        self.add(table)
    }

    var value: Int64 { Int64(self.crc) }

    mutating func add(_ number: Int64?) {
        self.add(tag: number == nil ? 0 : 1)
        guard let number else { return }
        self.crc = withUnsafeBytes(of: number.littleEndian) { capus_crc32c(self.crc, $0.baseAddress, $0.count) }
    }

    mutating func add(_ text: String?) {
        self.add(tag: text == nil ? 2 : 3)
        guard let text else { return }
        self.add(Int64(text.utf8.count))
        let bytes = Array(text.utf8)
        self.crc = bytes.withUnsafeBytes { capus_crc32c(self.crc, $0.baseAddress, $0.count) }
    }

    mutating func add(_ duration: Duration?) { self.add(duration?.wholeMilliseconds) }

    private mutating func add(tag: UInt8) {
        self.crc = withUnsafeBytes(of: tag) { capus_crc32c(self.crc, $0.baseAddress, $0.count) }
    }
}
