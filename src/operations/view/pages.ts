import type { SnapshotListResult } from '../change/snapshot.js'
import type { ChainResult } from '../chain/show.js'
import type { CheckResult } from '../check/check.js'
import type { DisksResult } from '../device/disks.js'
import type { DoctorResult } from '../doctor/doctor.js'
import type { FileList } from '../files/list.js'
import type { CellRow } from '../inspect/disk-cells.js'
import type { Problem } from '../inspect/info.js'
import type { InspectResult } from '../inspect/inspect.js'
import type { RestoreJob } from './restore-job.js'

export type PageName = 'images' | 'overview' | 'files' | 'check' | 'doctor' | 'chain' | 'restore'

/** What every page shows around its own content. */
export interface PageFrame {
  /** The path that all links begin with: `/TOKEN/`. */
  readonly root: string
  /** The images, as they were named. */
  readonly images: readonly string[]
  /** Which of them the page is about. */
  readonly image?: number
  readonly page: PageName
  /** Whether the server was started to restore. */
  readonly restores: boolean
  /** Whether the page needs the script that shows how far the restoring is. */
  readonly live?: boolean
}

/** Something in an image that may have files: `2`, `lv=vg/root`; '' is all of it. */
export interface FilesPlace {
  readonly part: string
  readonly title: string
  /** Bytes. */
  readonly size?: number
}

export interface RestoreChoice {
  readonly images: readonly { readonly name: string; readonly disk?: InspectResult; readonly problem?: Problem }[]
  readonly disks: DisksResult
}

/** The pages, made of what the operations found. Each part is HTML, whole and escaped. */
export interface ViewPages {
  /** From the beginning of the page to where its content goes. */
  start(frame: PageFrame): string
  end(): string
  images(frame: PageFrame): string
  overview(disk: InspectResult, rows: readonly CellRow[]): string
  places(places: readonly FilesPlace[]): string
  files(list: FileList, part: string): string
  /** What is asked before a check. */
  beforeCheck(): string
  /** Shown until more of the page comes. */
  waiting(text: string): string
  checked(result: CheckResult): string
  platforms(chosen: string | undefined): string
  diagnosed(result: DoctorResult): string
  chain(result: ChainResult, snapshots: SnapshotListResult | undefined): string
  choice(frame: PageFrame, choice: RestoreChoice): string
  job(frame: PageFrame, job: RestoreJob | undefined): string
  problem(problem: Problem): string
  /** The script of the restoring page. */
  readonly script: string
}
