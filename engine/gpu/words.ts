/** Memory that holds numbers of each kind, every one a word of four bytes. */
export class Words {
  readonly bytes: ArrayBuffer;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f32: Float32Array;

  constructor(bytes: number) {
    this.bytes = new ArrayBuffer(bytes);
    this.u32 = new Uint32Array(this.bytes);
    this.i32 = new Int32Array(this.bytes);
    this.f32 = new Float32Array(this.bytes);
  }
}
