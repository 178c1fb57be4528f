/** How a disk is divided. `none`: no table; a filesystem may start at the disk's first byte. */
export type TableScheme = 'gpt' | 'mbr' | 'apm' | 'bsd' | 'none'

export interface PartitionType {
  /** As the table stores it: a GUID in lower case, `0x83`, `Apple_HFS`. */
  readonly id: string
  /** For people; the id where the type is not known. */
  readonly name: string
}

/** A partition. Positions and lengths are bytes of the disk. */
export interface Partition {
  /**
   * As systems number them: the slot of a GPT, APM or BSD table, 1 to 4 for primary partitions of an MBR, from 5 on for
   * logical ones.
   */
  readonly number: number
  readonly start: number
  readonly length: number
  readonly type: PartitionType
  /** `extended` is a container of logical partitions: it holds no data of its own. */
  readonly role: 'primary' | 'logical' | 'extended'
  /** The table's own name of it (GPT, APM). */
  readonly label?: string
  /** Unique id, lower case (GPT); disk id and number (MBR): `1234abcd-01`, as Linux's PARTUUID. */
  readonly uuid?: string
  /** In words: `active`, `legacy BIOS bootable`, `read-only`, … */
  readonly flags: readonly string[]
  /** The attribute word of a GPT entry. */
  readonly attributes?: bigint
}

/** What is wrong or odd with a table. */
export interface TableIssue {
  /** Stable, upper case: `W_GPT_BACKUP_MOVED`. */
  readonly code: string
  readonly severity: 'error' | 'warning' | 'note'
  readonly message: string
  /** The number of the partition it is about. */
  readonly partition?: number
  /** Whether `partition fix` mends it. */
  readonly fixable?: boolean
}

export interface PartitionTable {
  readonly scheme: TableScheme
  /** Bytes; what the table counts in. */
  readonly sectorSize: 512 | 4096
  /** Bytes of the disk. */
  readonly capacity: number
  /** Disk GUID (GPT, lower case), or disk signature (MBR, eight hexadecimal digits). */
  readonly diskId?: string
  /** Ascending by number. */
  readonly partitions: readonly Partition[]
  readonly issues: readonly TableIssue[]
  /** Partitions of the MBR beside a GPT (hybrid); the protective one is left out. */
  readonly hybrid: readonly Partition[]
  /** Where partitions may lie, in bytes; `end` is exclusive. */
  readonly usable?: { readonly start: number; readonly end: number }
  /** A BSD label or further table within, beside the main one. */
  readonly also: readonly TableScheme[]
  /** The partitions of those further tables; of a GPT these are `hybrid`. */
  readonly others: readonly Partition[]
  /**
   * What the tables of the disk occupy, of every scheme: ascending by start, inside the disk; runs may overlap. It is
   * in use, whatever a filesystem says that lies around it.
   */
  readonly occupied: readonly TableRun[]
}

/** A run of the disk that a partition table occupies. Bytes. */
export interface TableRun {
  readonly start: number
  readonly length: number
  /** For people: `the primary GPT header in sector 1`. */
  readonly title: string
  /** The partition whose own content it is: a label that divides a slice further. */
  readonly partition?: number
}

/** Bytes to be put onto a disk. */
export interface TableWrite {
  readonly position: number
  readonly bytes: Uint8Array
}
