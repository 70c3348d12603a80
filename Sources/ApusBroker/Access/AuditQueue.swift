import ApusAccess
import ApusCore
import DequeModule

/// The records of the audit log that wait to be written, and the number of those for which there was no room.
///
/// A part of the room is kept for what was denied: whoever may do much can not hide what others try.
///
/// Owner: ``BrokerAudit``.
struct AuditQueue {
    private var waiting = Deque<AuditRecord>()
    private var lost = 0
    private var rates = AuditRates()

    var isEmpty: Bool { self.waiting.isEmpty }

    /// Whether what a principal does is to be written down; nil: it is counted. Else how many before it were not.
    mutating func omitted(before kind: AuditRates.Kind, of principal: Principal, at now: Timestamp) -> Int? {
        defer { self.lost += self.rates.takeForgotten() }
        switch self.rates.judge(kind, of: principal, at: now) {
        case .write(let omitted): return omitted
        case .omit: return nil
        case .lose:
            self.lost += 1
            return nil
        }
    }

    /// False: there is no room, and it is counted as lost.
    mutating func append(_ record: AuditRecord, _ kind: AuditRates.Kind) -> Bool {
        let isDenial = kind == .denial || kind == .failedLogin
        let room = Limits.auditRecordsWaitingMax - (isDenial ? 0 : Limits.auditRecordsForDenials)
        guard self.waiting.count < room else {
            self.lose(record)
            return false
        }
        var record = record
        record.lost = self.lost
        self.lost = 0
        self.waiting.append(record)
        return true
    }

    /// It is written nowhere; the next record tells, and what it would have told as well.
    mutating func lose(_ record: AuditRecord) {
        self.lost += 1 + record.lost + record.omitted
    }

    /// The next ones to be written. Those that are not come back with ``putBack(_:)``.
    mutating func take() -> [AuditRecord] {
        let records = Array(self.waiting.prefix(Limits.auditRecordsPerBatchMax)) as [AuditRecord]
        self.waiting.removeFirst(records.count)
        return records
    }

    /// In front of all others, in their order.
    mutating func putBack(_ records: some Collection<AuditRecord>) {
        self.waiting.prepend(contentsOf: records)
    }

    mutating func removeAll() { self.waiting = [] }
}
