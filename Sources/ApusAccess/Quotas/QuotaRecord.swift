import ApusCore
import Crypto
import NIOCore

/// What the coordinator store keeps of one entity's quotas, under `quotas/<id>`; the id is made from the entity.
///
///     version UInt8 = 1 │ user │ client id │ address │ count UInt16 │ { kind, rate as its 64 bits } …
///
/// Of the entity each is UInt8 0 for nothing, 1 for the others, 2 and a name. A string is a UInt16 length and UTF-8.
/// Integers are big-endian. Decoding is total.
package enum QuotaRecord {
    package static let prefix = "quotas/"
    private static let version: UInt8 = 1

    package static func key(of entity: QuotaEntity) -> String {
        var buffer = ByteBuffer()
        self.write(entity, to: &buffer)
        return self.prefix + hexadecimal(SHA256.hash(data: Array(buffer.readableBytesView)).prefix(16))
    }

    package static func encoded(_ rates: [QuotaKind: Double], of entity: QuotaEntity) -> [UInt8] {
        var buffer = ByteBuffer(integer: self.version)
        self.write(entity, to: &buffer)
        buffer.writeInteger(UInt16(rates.count))
        for (kind, rate) in rates.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            buffer.writeText(kind.rawValue)
            buffer.writeInteger(rate.bitPattern)
        }
        return Array(buffer.readableBytesView)
    }

    /// Nil for anything that ``encoded(_:of:)`` does not write.
    package static func decoded(_ bytes: [UInt8]) -> (entity: QuotaEntity, rates: [QuotaKind: Double])? {
        var buffer = ByteBuffer(bytes: bytes)
        guard buffer.readInteger(as: UInt8.self) == self.version, let user = self.read(from: &buffer),
            let clientID = self.read(from: &buffer), let address = self.read(from: &buffer),
            // What could not be made is not believed.
            let entity = try? QuotaEntity(user: user.who, clientID: clientID.who, address: address.who),
            let count = buffer.readInteger(as: UInt16.self), count > 0
        else { return nil }
        var rates: [QuotaKind: Double] = [:]
        for _ in 0..<count {
            guard let kind = buffer.readText().flatMap({ QuotaKind(rawValue: $0) }),
                let stored = buffer.readInteger(as: UInt64.self).map({ Double(bitPattern: $0) }), stored > 0,
                // Once any rate above zero could be set. One that can not be read would be none, which is more.
                case let rate = max(stored, Limits.quotaRateMin), entity.refusal(of: kind, rate) == nil,
                rates.updateValue(rate, forKey: kind) == nil
            else { return nil }
        }
        return buffer.readableBytes == 0 ? (entity, rates) : nil
    }

    private static func write(_ entity: QuotaEntity, to buffer: inout ByteBuffer) {
        for who in [entity.user, entity.clientID, entity.address] {
            switch who {
            case nil: buffer.writeInteger(UInt8(0))
            case .others: buffer.writeInteger(UInt8(1))
            case .named(let name):
                buffer.writeInteger(UInt8(2))
                buffer.writeText(name.text)
            }
        }
    }

    private struct Read {
        let who: QuotaEntity.Who?
    }

    private static func read(from buffer: inout ByteBuffer) -> Read? {
        switch buffer.readInteger(as: UInt8.self) {
        case 0: Read(who: nil)
        case 1: Read(who: .others)
        case 2: buffer.readText().map { Read(who: .named(ExactText($0))) }
        default: nil
        }
    }
}
