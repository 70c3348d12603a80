import ApusCore
package import NIOCore

/// `-f`: a text with percent tokens, written once for each record.
///
/// The tokens are those of rpk; `%s` is `%v`, for hands used to kcat. (`%T` is the length of the topic's name, as in
/// rpk, and not the timestamp, as in kcat: that is `%d`.)
///
/// | token | stands for | modifiers |
/// |---|---|---|
/// | `%t %T` | topic, its length | `{hex}` `{base64}` |
/// | `%k %K`, `%v %V` (`%s %S`) | key, value, their lengths | `{hex}` `{base64}` |
/// | `%h %H` | headers, their number | `%h{%k=%v }`: a format for each |
/// | `%p %o %e` | partition, offset, leader epoch | |
/// | `%a` | of the batch | `{compression}` `{timestamp-type}` (-1 none, 0 producer's, 1 broker's) |
/// | `%d` | timestamp in ms | `{iso}` `{s}` `{strftime[%F %T]}` |
/// | `%i %%` | how many were printed, a percent sign | |
package struct RecordFormat: Sendable {
    enum Number: Sendable {
        case topicLength, keyLength, valueLength, headerCount, partition, offset, epoch, printed, timestampType
    }
    enum Bytes: Sendable { case topic, key, value }
    enum Encoding: Sendable { case plain, hex, base64 }
    enum Moment: Sendable { case milliseconds, seconds, iso, strftime(String) }
    enum Piece: Sendable {
        case literal([UInt8])
        case compression
        case number(Number)
        case bytes(Bytes, Encoding)
        case moment(Moment)
        /// Each header, through a format in which `%k` is its name and `%v` its value.
        case headers([Piece])
    }

    private let pieces: [Piece]
    private var printed: Int64 = 0

    package init(_ text: String) throws(CommandFailure) {
        var parser = RecordFormatParser(text)
        self.pieces = try parser.pieces()
    }

    /// Writes one record behind what is in `output`.
    package mutating func write(_ record: ShownRecord, into output: inout ByteBuffer) {
        self.printed += 1
        for piece in self.pieces { self.write(piece, of: record, into: &output) }
    }

    private func write(_ piece: Piece, of record: ShownRecord, into output: inout ByteBuffer) {
        switch piece {
        case .literal(let bytes): output.writeBytes(bytes)
        case .compression: output.writeString(record.compression)
        case .number(let number): output.writeString(String(self.value(of: number, in: record)))
        case .bytes(.topic, let encoding): Self.write(ByteBuffer(string: record.topic), encoding, into: &output)
        case .bytes(.key, let encoding): Self.write(record.key, encoding, into: &output)
        case .bytes(.value, let encoding): Self.write(record.value, encoding, into: &output)
        case .moment(let moment): Self.write(moment, of: record, into: &output)
        case .headers(let pieces):
            for header in record.headers {
                var shown = record
                shown.key = ByteBuffer(string: header.name)
                shown.value = header.value
                shown.headers = []
                for piece in pieces { self.write(piece, of: shown, into: &output) }
            }
        }
    }

    private func value(of number: Number, in record: ShownRecord) -> Int64 {
        switch number {
        case .topicLength: Int64(record.topic.utf8.count)
        // -1 as in the protocol: null is not empty.
        case .keyLength: Int64(record.key?.readableBytes ?? -1)
        case .valueLength: Int64(record.value?.readableBytes ?? -1)
        case .headerCount: Int64(record.headers.count)
        case .partition: Int64(record.partition.rawValue)
        case .offset: record.offset.rawValue
        case .epoch: Int64(record.leaderEpoch.rawValue)
        case .timestampType: record.timestampType.number
        case .printed: self.printed
        }
    }

    private static func write(_ moment: Moment, of record: ShownRecord, into output: inout ByteBuffer) {
        let time = record.timestamp
        switch moment {
        case .milliseconds: output.writeString(String(time.rawValue))
        case .seconds: output.writeString(String(time.rawValue / 1000))
        case .iso: output.writeString(CivilTime(time).text)
        case .strftime(let format): output.writeString(CivilTime(time).formatted(format, time))
        }
    }

    private static func write(_ bytes: ByteBuffer?, _ encoding: Encoding, into output: inout ByteBuffer) {
        guard var bytes else { return }
        switch encoding {
        case .plain: output.writeBuffer(&bytes)
        case .base64: output.writeString(Base64.encoded(bytes.readableBytesView))
        case .hex:
            let digits = Array("0123456789abcdef".utf8)
            for byte in bytes.readableBytesView {
                output.writeInteger(digits[Int(byte >> 4)])
                output.writeInteger(digits[Int(byte & 15)])
            }
        }
    }
}
