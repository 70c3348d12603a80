/// An IP address as its 128 bits, so that every way to write one is the same host. IPv4 is kept as the IPv6 address
/// that a dual-stack socket shows for it (`::ffff:1.2.3.4`, RFC 4291).
package struct HostAddress: Hashable, Comparable, Sendable {
    package let high: UInt64
    package let low: UInt64

    private init(groups: [UInt16]) {
        precondition(groups.count == 8)
        self.high = groups[..<4].reduce(0) { $0 << 16 | UInt64($1) }
        self.low = groups[4...].reduce(0) { $0 << 16 | UInt64($1) }
    }

    /// Nil for anything but an address in its usual form: no host names, no zones, no octal or short IPv4.
    package init?(_ text: String) {
        guard text.utf8.count <= 45 else { return nil }
        if let octets = Self.octets(text[...]) {
            self.init(groups: [0, 0, 0, 0, 0, 0xFFFF] + Self.groups(octets))
            return
        }
        let halves = Self.halves(text)
        guard let first = halves.first, let left = Self.groups(first, isLast: halves.count == 1) else { return nil }
        guard halves.count == 2 else {
            guard halves.count == 1, left.count == 8 else { return nil }
            self.init(groups: left)
            return
        }
        guard let right = Self.groups(halves[1], isLast: true), left.count + right.count < 8 else { return nil }
        self.init(groups: left + Array(repeating: 0, count: 8 - left.count - right.count) + right)
    }

    package static func < (left: HostAddress, right: HostAddress) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    package static let loopback = HostAddress(high: 0, low: 1)

    package var isLoopback: Bool {
        (self.high == 0 && self.low == 1) || (self.isIPv4 && self.low >> 24 & 0xFF == 127)
    }

    /// What limits for one address count: of IPv6 the /64, which is the least that anybody gets.
    var payer: HostAddress { self.isIPv4 ? self : HostAddress(high: self.high, low: 0) }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    private var isIPv4: Bool { self.high == 0 && self.low >> 32 == 0xFFFF }

    /// What stands on both sides of the one `::` that there may be.
    private static func halves(_ text: String) -> [Substring] {
        guard let gap = text.firstRange(of: "::") else { return [text[...]] }
        return [text[..<gap.lowerBound], text[gap.upperBound...]]
    }

    /// Groups of up to four hexadecimal digits; the last may be an IPv4 address.
    private static func groups(_ text: Substring, isLast: Bool) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if isLast, index == parts.count - 1, let octets = Self.octets(part) {
                groups += Self.groups(octets)
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }),
                    let group = UInt16(part, radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups.count <= 8 ? groups : nil
    }

    private static func octets(_ text: Substring) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var octets: [UInt8] = []
        for part in parts {
            let digits = part.utf8
            guard (1...3).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
                digits.count == 1 || digits.first != UInt8(ascii: "0"), let octet = UInt8(part)
            else { return nil }
            octets.append(octet)
        }
        return octets
    }

    private static func groups(_ octets: [UInt8]) -> [UInt16] {
        [UInt16(octets[0]) << 8 | UInt16(octets[1]), UInt16(octets[2]) << 8 | UInt16(octets[3])]
    }
}

extension HostAddress: CustomStringConvertible {
    /// The shortest form (RFC 5952), IPv4 with dots.
    package var description: String {
        if self.isIPv4 {
            return [24, 16, 8, 0].map { String(self.low >> UInt64($0) & 0xFF) }.joined(separator: ".")
        }
        let groups = [self.high, self.low].flatMap { word in
            [48, 32, 16, 0].map { UInt16(truncatingIfNeeded: word >> UInt64($0)) }
        }
        var best = 0..<0
        var at = 0
        while at < 8 {
            let end = groups[at...].firstIndex { $0 != 0 } ?? 8
            if end - at > max(1, best.count) { best = at..<end }
            at = max(end, at + 1)
        }
        func text(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
        guard !best.isEmpty else { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }
}
