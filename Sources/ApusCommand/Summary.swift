/// One thing in detail: named values, then lists of its parts. Printable in every output format.
package struct Summary: Sendable {
    package var fields: [(key: String, title: String, cell: Cell)] = []
    package var lists: [(key: String, title: String, listing: Listing)] = []

    package init() {}

    package mutating func add(_ key: String, _ title: String, _ cell: Cell) {
        self.fields.append((key, title, cell))
    }

    package mutating func add(_ key: String, _ title: String, _ listing: Listing) {
        self.lists.append((key, title, listing))
    }

    package var json: JSON {
        .object(self.fields.map { ($0.key, $0.cell.value) } + self.lists.map { ($0.key, $0.listing.json) })
    }

    package func rendered(as format: OutputFormat) -> String {
        switch format {
        case .json: self.json.pretty + "\n"
        case .ndjson: self.json.compact + "\n"
        case .raw:
            self.fields.map { "\($0.key)\t\($0.cell.value.bare)\n" }.joined()
                + self.lists.map { $0.listing.rendered(as: .raw) }.joined()
        case .table: self.text
        }
    }

    private var text: String {
        let width = self.fields.reduce(0) { max($0, $1.title.count) }
        var text = self.fields
            .map { $0.title + String(repeating: " ", count: width - $0.title.count + 2) + $0.cell.text + "\n" }.joined()
        for list in self.lists where !list.listing.rows.isEmpty {
            text += (text.isEmpty ? "" : "\n") + (list.title.isEmpty ? "" : list.title + "\n")
            text += list.listing.rendered(as: .table)
        }
        return text
    }
}
