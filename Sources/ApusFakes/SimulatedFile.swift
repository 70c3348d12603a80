import NIOCore

/// One file of the simulated disk: what a read sees, what a power cut leaves, and everything in between.
final class SimulatedFile {
    static let pageByteCount = 4096
    static let sectorByteCount = 512

    /// What a page held at some moment since the last sync, oldest first; the contents now are not among them.
    private var earlier: [Int: [ByteBuffer]] = [:]
    private var sizes: [Int] = []
    /// As after a sync and a power cut.
    private(set) var durable = ByteBuffer()
    /// As a read sees it.
    private(set) var current = ByteBuffer()
    /// Of the largest hole that was punched.
    private(set) var holeByteCount = 0
    /// A sync failed: this process may not write here any more.
    var isDead = false

    var size: Int { self.current.readableBytes }
    var isDirty: Bool { !self.earlier.isEmpty || !self.sizes.isEmpty }

    func read(at position: Int, upTo limit: Int) -> ByteBuffer {
        guard position < self.size else { return ByteBuffer() }
        return Self.copy(self.current, position, min(limit, self.size - position))
    }

    func write(_ bytes: ByteBuffer, at position: Int) {
        guard bytes.readableBytes > 0 else { return }
        self.grow(to: position + bytes.readableBytes)
        self.remember(position..<position + bytes.readableBytes)
        self.current.setBuffer(bytes, at: position)
    }

    /// Zeros up to `size`.
    func grow(to size: Int) {
        guard size > self.size else { return }
        self.sizes.append(self.size)
        let added = size - self.size
        self.current.writeRepeatingByte(0, count: added)
    }

    func truncate(to size: Int) {
        guard size < self.size else { return self.grow(to: size) }
        self.sizes.append(self.size)
        self.remember(size..<self.size)
        self.current.moveWriterIndex(to: size)
    }

    /// Zeros where something was; like any write until it is synced.
    func punchHole(_ range: Range<Int>) {
        let range = range.clamped(to: 0..<self.size)
        guard !range.isEmpty else { return }
        self.remember(range)
        self.current.setRepeatingByte(0, count: range.count, at: range.lowerBound)
        self.holeByteCount = max(self.holeByteCount, range.count)
    }

    func sync() {
        for page in self.earlier.keys { self.harden(page) }
        self.resizeDurable()
        self.forgetPending()
    }

    /// The sync fails, and the pages are taken for clean all the same, as Linux does: what a read sees never reaches
    /// the disk unless it is written again.
    func failSync() {
        self.forgetPending()
        self.isDead = true
    }

    private func forgetPending() {
        self.earlier = [:]
        self.sizes = []
    }

    /// The power goes: sectors and size each end as one of what they were since the last sync.
    func crash(_ choose: inout some CrashChooser) {
        var survivor = self.durable
        let size = self.sizes.isEmpty ? self.durable.readableBytes : self.choice(of: self.sizes + [self.size], &choose)
        for page in self.earlier.keys.sorted() { self.settle(page, in: &survivor, &choose) }
        Self.resize(&survivor, to: size)
        self.durable = survivor
        self.current = survivor
        self.forgetPending()
        self.isDead = false
    }

    private func choice(of sizes: [Int], _ choose: inout some CrashChooser) -> Int {
        let distinct = Array(Set(sizes + [self.durable.readableBytes])).sorted()
        return distinct[choose.one(of: distinct.count)]
    }

    private func settle(_ page: Int, in survivor: inout ByteBuffer, _ choose: inout some CrashChooser) {
        let versions =
            [self.page(page, of: self.durable)] + (self.earlier[page] ?? []) + [self.page(page, of: self.current)]
        choose.begin(versions: versions.count)
        Self.resize(&survivor, to: max(survivor.readableBytes, (page + 1) * Self.pageByteCount))
        for sector in 0..<Self.pageByteCount / Self.sectorByteCount {
            let place = sector * Self.sectorByteCount
            var distinct: [ByteBuffer] = []
            var indexes: [Int] = []
            for (index, version) in versions.enumerated() {
                guard let part = version.getSlice(at: place, length: Self.sectorByteCount) else { continue }
                if let known = distinct.firstIndex(of: part) {
                    // The newest version with these bytes stands for them.
                    indexes[known] = index
                } else {
                    distinct.append(part)
                    indexes.append(index)
                }
            }
            let chosen = choose.sector(versions: indexes)
            survivor.setBuffer(distinct[chosen], at: page * Self.pageByteCount + place)
        }
    }

    /// Bytes rot, or somebody meddles: at once and for good.
    func damage(at position: Int, _ change: (inout UInt8) -> Void) {
        guard var byte = self.current.getInteger(at: position, as: UInt8.self) else { return }
        change(&byte)
        self.current.setInteger(byte, at: position)
        if position < self.durable.readableBytes { self.durable.setInteger(byte, at: position) }
    }

    func replaceForGood(with bytes: ByteBuffer) {
        self.current = Self.copy(bytes, bytes.readerIndex, bytes.readableBytes)
        self.durable = self.current
        self.forgetPending()
    }

    // MARK: Pages

    private func remember(_ range: Range<Int>) {
        for page in range.lowerBound / Self.pageByteCount...(range.upperBound - 1) / Self.pageByteCount {
            // The first earlier version is the durable one, which is kept anyway.
            if self.earlier[page] == nil {
                let now = self.page(page, of: self.current)
                self.earlier[page] = now == self.page(page, of: self.durable) ? [] : [now]
            } else {
                self.earlier[page, default: []].append(self.page(page, of: self.current))
            }
        }
    }

    /// A page of `bytes`, with zeros behind their end.
    private func page(_ page: Int, of bytes: ByteBuffer) -> ByteBuffer {
        let start = page * Self.pageByteCount
        var copy = ByteBufferAllocator().buffer(capacity: Self.pageByteCount)
        let length = max(0, min(Self.pageByteCount, bytes.readableBytes - start))
        if var slice = bytes.getSlice(at: start, length: length) { copy.writeBuffer(&slice) }
        copy.writeRepeatingByte(0, count: Self.pageByteCount - length)
        return copy
    }

    private func harden(_ page: Int) {
        let start = page * Self.pageByteCount
        let length = min(Self.pageByteCount, self.size - start)
        guard length > 0, let slice = self.current.getSlice(at: start, length: length) else { return }
        Self.resize(&self.durable, to: max(self.durable.readableBytes, start + length))
        self.durable.setBuffer(slice, at: start)
    }

    private func resizeDurable() {
        guard !self.sizes.isEmpty else { return }
        Self.resize(&self.durable, to: self.size)
    }

    private static func resize(_ bytes: inout ByteBuffer, to size: Int) {
        if size < bytes.readableBytes {
            bytes.moveWriterIndex(to: size)
        } else if size > bytes.readableBytes {
            bytes.writeRepeatingByte(0, count: size - bytes.readableBytes)
        }
    }

    private static func copy(_ bytes: ByteBuffer, _ start: Int, _ length: Int) -> ByteBuffer {
        var copy = ByteBufferAllocator().buffer(capacity: length)
        if var slice = bytes.getSlice(at: start, length: length) { copy.writeBuffer(&slice) }
        return copy
    }
}
