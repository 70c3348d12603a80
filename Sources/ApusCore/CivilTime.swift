/// Dates and times of day in UTC, read and written as RFC 3339, without a calendar library. Proleptic Gregorian.
package struct CivilTime: Hashable, Sendable {
    package var year: Int64
    package var month: Int64
    package var day: Int64
    package var hour: Int64
    package var minute: Int64
    package var second: Int64
    package var millisecond: Int64

    package init(_ time: Timestamp) {
        let (days, inDay) = Self.divided(time.rawValue, by: 86_400_000)
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": eras of 400 years that begin on 1 March.
        let (era, dayOfEra) = Self.divided(days + 719_468, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        self.day = dayOfYear - (153 * shifted + 2) / 5 + 1
        self.month = shifted < 10 ? shifted + 3 : shifted - 9
        self.year = yearOfEra + era * 400 + (self.month <= 2 ? 1 : 0)
        self.hour = inDay / 3_600_000
        self.minute = inDay / 60_000 % 60
        self.second = inDay / 1000 % 60
        self.millisecond = inDay % 1000
    }

    /// Reads `2026-11-20`, `2026-11-20T10:00`, `…:30`, `….123`, each with `Z`, `+02:00` or nothing behind it (UTC).
    package static func parse(_ text: String) -> Timestamp? {
        var reader = Reader(Array(text.utf8))
        guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"),
            let day = reader.number(2), (1...12).contains(month), (1...Self.days(in: month, of: year)).contains(day)
        else { return nil }
        var milliseconds = Self.daysSince1970(year, month, day) * 86_400_000
        if reader.take("T") || reader.take(" ") {
            guard let hour = reader.number(2), reader.take(":"), let minute = reader.number(2), hour < 24, minute < 60
            else { return nil }
            milliseconds += hour * 3_600_000 + minute * 60_000
            if reader.take(":") {
                guard let second = reader.number(2), second < 60 else { return nil }
                milliseconds += second * 1000
                if reader.take(".") {
                    guard let fraction = reader.milliseconds() else { return nil }
                    milliseconds += fraction
                }
            }
            guard let zone = reader.zone() else { return nil }
            milliseconds -= zone
        }
        return reader.isAtEnd ? Timestamp(rawValue: milliseconds) : nil
    }

    /// `2026-11-20T10:00:00.000Z`.
    package var text: String { "\(self.date)T\(self.time).\(Self.padded(self.millisecond, 3))Z" }

    package var date: String {
        "\(Self.padded(self.year, 4))-\(Self.padded(self.month, 2))-\(Self.padded(self.day, 2))"
    }

    package var time: String {
        "\(Self.padded(self.hour, 2)):\(Self.padded(self.minute, 2)):\(Self.padded(self.second, 2))"
    }

    /// The part of strftime(3) that dates need: `%Y %m %d %H %M %S %F %T %s %f` (milliseconds) and `%%`.
    package func formatted(_ format: some StringProtocol, _ timestamp: Timestamp) -> String {
        var text = ""
        var isEscape = false
        for character in format {
            guard isEscape else {
                if character == "%" { isEscape = true } else { text.append(character) }
                continue
            }
            isEscape = false
            switch character {
            case "Y": text += Self.padded(self.year, 4)
            case "m": text += Self.padded(self.month, 2)
            case "d": text += Self.padded(self.day, 2)
            case "H": text += Self.padded(self.hour, 2)
            case "M": text += Self.padded(self.minute, 2)
            case "S": text += Self.padded(self.second, 2)
            case "f": text += Self.padded(self.millisecond, 3)
            case "F": text += self.date
            case "T": text += self.time
            case "s": text += String(Self.divided(timestamp.rawValue, by: 1000).0)
            default: text.append(character)
            }
        }
        return text
    }

    static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value.magnitude)
        return (value < 0 ? "-" : "") + String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Division that rounds down, so that times before 1970 work too.
    private static func divided(_ value: Int64, by divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    private static func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = Self.divided(shifted, by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        let isLeap = year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400))
        return switch month {
        case 2: isLeap ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

/// Reads digits and marks, one behind the other.
private struct Reader {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        self.bytes = bytes[...]
    }

    var isAtEnd: Bool { self.bytes.isEmpty }

    mutating func take(_ mark: Unicode.Scalar) -> Bool {
        guard self.bytes.first == UInt8(ascii: mark) else { return false }
        self.bytes.removeFirst()
        return true
    }

    mutating func number(_ digits: Int) -> Int64? {
        guard self.bytes.count >= digits else { return nil }
        var value: Int64 = 0
        for byte in self.bytes.prefix(digits) {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = value * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        self.bytes.removeFirst(digits)
        return value
    }

    /// Digits of a second, read to the third, the rest ignored.
    mutating func milliseconds() -> Int64? {
        var value: Int64 = 0
        var scale: Int64 = 100
        var isEmpty = true
        while let digit = self.number(1) {
            value += digit * scale
            scale /= 10
            isEmpty = false
        }
        return isEmpty ? nil : value
    }

    /// Milliseconds east of Greenwich.
    mutating func zone() -> Int64? {
        if self.take("Z") || self.isAtEnd { return 0 }
        let isEast = self.take("+")
        guard isEast || self.take("-"), let hours = self.number(2), self.take(":"), let minutes = self.number(2),
            hours < 24, minutes < 60
        else { return nil }
        let milliseconds = hours * 3_600_000 + minutes * 60_000
        return isEast ? milliseconds : -milliseconds
    }
}
