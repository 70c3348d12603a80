package import ApusCore

/// Durations and sizes as they are typed: `7d`, `1h30m`, `250ms`; `64MiB`, `1GB`, `512`.
package enum Quantity {
    /// A whole or decimal number with a unit, or several one behind the other, largest first.
    ///
    /// Units: `ns us µs ms s m min h d w`. A number alone is refused: nobody remembers of what.
    package static func duration(_ text: String) throws(CommandFailure) -> Duration {
        var rest = Substring(text)
        var total = Duration.zero
        var smallest = Double.infinity
        while !rest.isEmpty {
            guard let (number, unit) = Self.split(&rest), let scale = Self.seconds[unit], scale < smallest else {
                throw .usage("\"\(text)\" is not a duration", next: "write it as 500ms, 30s, 15m, 2h, 7d or 1h30m")
            }
            smallest = scale
            // Held in seconds as Double: 100,000 years are still exact to the millisecond.
            guard number * scale < 9e9 else { throw .usage("the duration \"\(text)\" is too long") }
            total += .seconds(number * scale)
        }
        guard smallest.isFinite else { throw .usage("a duration is missing", next: "write it as 30s, 2h or 7d") }
        return total
    }

    /// A number of bytes: bare, or with `KiB MiB GiB TiB` (also `K M G T`), 1024 each, or `kB MB GB TB`, 1000 each.
    package static func size(_ text: String) throws(CommandFailure) -> ByteCount {
        var rest = Substring(text)
        guard let (number, unit) = Self.split(&rest), rest.isEmpty, let scale = Self.bytes[unit.lowercased()],
            number * scale < 9e18
        else {
            throw .usage("\"\(text)\" is not a size", next: "write it as 512, 64KiB, 16MiB, 1GiB or 1GB")
        }
        return .bytes(Int((number * scale).rounded()))
    }

    private static let seconds: [Substring: Double] = [
        "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400,
        "w": 604_800,
    ]
    private static let bytes: [String: Double] = [
        "": 1, "b": 1, "k": 1024, "kib": 1024, "m": 1_048_576, "mib": 1_048_576, "g": 1_073_741_824,
        "gib": 1_073_741_824, "t": 1_099_511_627_776, "tib": 1_099_511_627_776, "kb": 1e3, "mb": 1e6, "gb": 1e9,
        "tb": 1e12,
    ]

    /// Takes a number and the letters behind it.
    private static func split(_ rest: inout Substring) -> (Double, Substring)? {
        let digits = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
        guard let number = Double(digits), number.isFinite else { return nil }
        rest = rest.dropFirst(digits.count)
        let unit = rest.prefix { $0.isLetter }
        rest = rest.dropFirst(unit.count)
        return (number, unit)
    }
}
